import { randomBytes } from "node:crypto";
import { Session, CheckFailure, Unreachable } from "./check/session.ts";
import { SCRIPT } from "./check/script.ts";
import type { Invocation } from "./commands.ts";
import { UsageError } from "./parse.ts";
import { redactUrl } from "./redact.ts";

/**
 * Runs the test script against a server: silent and 0 where all pass; otherwise 1, with what was
 * sent, what was expected and what came. It writes under keys of its own, and removes them however
 * it ends.
 */
export async function run({ args, settings }: Invocation): Promise<number> {
  const [url = ""] = args;
  const stop = new AbortController();
  const session = new Session({
    base: parseBase(url),
    keyPrefix: `vss-check-${randomBytes(8).toString("hex")}-`,
    timeoutMs: settings.requestTimeoutMs,
    signal: stop.signal,
  });
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  try {
    return await runScript(session);
  } catch (error) {
    if (stop.signal.aborted) {
      process.stderr.write("vss check: stopped before the end; its keys were removed.\n");
      return 1;
    }
    if (!(error instanceof Unreachable)) throw error;
    process.stderr.write(
      `vss check: ${redactUrl(url)} ${error.message}. Is a server running there?\n`,
    );
    return 1;
  } finally {
    await session.removeKeys();
  }
}

async function runScript(session: Session): Promise<number> {
  let failed = 0;
  for (const { name, check } of SCRIPT) {
    try {
      await check(session);
    } catch (error) {
      if (!(error instanceof CheckFailure)) throw error;
      failed += 1;
      process.stderr.write(`FAILED: ${name}\n${error.message.replaceAll(/^/gm, "  ")}\n\n`);
    }
  }
  if (failed > 0) process.stderr.write(`${failed} of ${SCRIPT.length} checks failed.\n`);
  return failed === 0 ? 0 : 1;
}

function parseBase(text: string): URL {
  const url = URL.parse(text.endsWith("/") ? text : `${text}/`);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new UsageError(
      `"${redactUrl(text)}" is no server's address. Write it as in: vss check http://127.0.0.1:5000`,
    );
  }
  return url;
}
