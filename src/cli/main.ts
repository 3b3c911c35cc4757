#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { StateError } from "../errors.ts";
import { commandHelp, generalHelp } from "./help.ts";
import { parseCommandLine, UsageError } from "./parse.ts";
import { maskSecrets, secretsOf } from "./redact.ts";

/** Exit codes: a mistake of the caller that nothing was done for, and a failure. */
const EXIT_USAGE = 2;
const EXIT_FAILURE = 1;

/** How long the process may live on after its command has ended. */
const LINGER_MS = 500;

// Whoever reads the output may stop early, as `head` does: a server goes on, and a help ends in silence.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") process.stderr.write(`vss: standard output: ${error.message}\n`);
});
process.exitCode = await main(process.argv.slice(2)).catch(report);
// Nothing is under way any more; a pipe or a driver that is still open must not hold up the end.
setTimeout(() => process.exit(), LINGER_MS).unref();

async function main(argv: readonly string[]): Promise<number> {
  const parsed = parseCommandLine(argv, process.env);
  switch (parsed.kind) {
    case "help":
      process.stdout.write(
        parsed.command === undefined ? generalHelp() : commandHelp(parsed.command),
      );
      return 0;
    case "version":
      process.stdout.write(`${packageVersion()}\n`);
      return 0;
    case "run": {
      const { args, settings } = parsed;
      const secrets = [settings.store, ...args].flatMap(secretsOf);
      // The title is what `ps` shows, and otherwise holds the command line, passwords and all.
      if (secrets.length > 0) process.title = maskSecrets(`vss ${argv.join(" ")}`, secrets);
      const { run } = await parsed.command.load();
      return run({ args, settings });
    }
  }
}

/** One line that says what to do, without a stack: what is wrong is not in this program. */
function report(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`vss: ${error.message}\n`);
    return EXIT_USAGE;
  }
  if (error instanceof StateError) {
    const urls = [...process.argv, process.env["VSS_STORE"] ?? ""];
    const text = maskSecrets(describe(error), urls.flatMap(secretsOf));
    process.stderr.write(`vss: ${text}\n`);
    return error.code === "invalid_parameter" ? EXIT_USAGE : EXIT_FAILURE;
  }
  throw error;
}

function describe(error: StateError): string {
  const { cause } = error;
  const reason = cause instanceof Error && cause.message !== "" ? ` (${cause.message})` : "";
  return `${error.message}${reason}`.replaceAll("\n", " ");
}

function packageVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { readonly version: string };
  return version;
}
