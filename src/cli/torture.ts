import { spawn, type ChildProcessByStdio } from "node:child_process";
import { constants } from "node:os";
import { extname } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Violation } from "../torture/record.ts";
import { torture, type TortureResult } from "../torture/run.ts";
import { openStore } from "../stores/index.ts";
import { systemClock } from "../telemetry/clock.ts";
import { silentLog } from "../telemetry/log.ts";
import type { Invocation } from "./commands.ts";
import type { Settings } from "./config.ts";
import { UsageError } from "./parse.ts";
import { redactUrl } from "./redact.ts";
import { removePrefix } from "../torture/clean-up.ts";

/** The compiled program ends in `.js`, the one in a checkout in `.ts`, as this file does. */
const MAIN = fileURLToPath(new URL(`./main${extname(import.meta.url)}`, import.meta.url));

/** Witnesses printed; one violation often makes many more. */
const WITNESSES_MAX = 5;

/**
 * Proves a back end as it is set up here: starts server processes over it, loads them with recorded
 * calls, kills one of them without warning, and checks all that was promised. 0 where all holds.
 */
export async function run({ settings }: Invocation): Promise<number> {
  const info = await lookAt(settings);
  if (!info.shared) {
    throw new UsageError(
      "memory: lives in one process alone; torture takes a store that is shared.",
    );
  }
  process.stderr.write(
    `Torture of ${redactUrl(settings.store)} (${info.product}), seed ${settings.seed}: ` +
      `${settings.clients} clients on ${settings.servers} server processes.\n`,
  );
  const servers = Array.from({ length: settings.servers }, () => new ServerProcess(settings));
  const stop = new AbortController();
  onSignals(stop, servers);
  let killed: Promise<unknown> = Promise.resolve();
  try {
    await Promise.all(servers.map((server) => server.start()));
    killed = killOne(servers, settings, stop.signal);
    const result = await torture({
      servers: servers.map(({ url }) => url),
      seed: settings.seed,
      seconds: settings.tortureMs / 1000,
      clients: settings.clients,
      hotKeys: 3,
      coldKeys: 50,
      hasFeed: info.watch !== "none",
      callTimeoutMs: settings.storeTimeoutMs * 2,
      pauseMs: 5,
      signal: stop.signal,
      until: killed,
    });
    await removePrefix(
      servers.map(({ url }) => url),
      result.prefix,
    );
    process.stdout.write(describe(result, info.promise));
    return result.violations.length === 0 ? 0 : 1;
  } finally {
    // Whoever goes on from here may use the store, or remove it: nobody else does any more.
    stop.abort();
    await Promise.allSettled([killed]);
    await Promise.all(servers.map((server) => server.end()));
  }
}

/** The first signal ends the load, and a second one all of it: no server may outlive this process. */
function onSignals(stop: AbortController, servers: readonly ServerProcess[]): void {
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (!stop.signal.aborted) return stop.abort(name);
      for (const server of servers) server.kill();
      process.exit(128 + constants.signals[name]);
    });
  }
}

async function lookAt(settings: Settings): Promise<Awaited<ReturnType<typeof openStore>>["info"]> {
  const store = await openStore(settings.store, {
    clock: systemClock,
    log: silentLog,
    timeoutMs: settings.storeTimeoutMs,
    connectTimeoutMs: settings.connectTimeoutMs,
  });
  await store.close();
  return store.info;
}

async function killOne(
  servers: readonly ServerProcess[],
  settings: Settings,
  signal: AbortSignal,
): Promise<void> {
  await sleep(settings.tortureMs / 2, undefined, { signal }).catch(() => {});
  if (signal.aborted) return;
  const victim = servers[settings.seed % servers.length];
  await victim?.killAndRestart();
}

function describe(result: TortureResult, promise: string): string {
  const { violations } = result;
  const verdict =
    violations.length === 0
      ? "Nothing was lost, doubled, reordered or read stale."
      : `${violations.length} promises were broken:`;
  return [
    promise,
    `${result.calls.length} calls: ${result.acknowledged} acknowledged, ${result.unknown} with an ` +
      `unknown outcome, ${result.refused} refused.`,
    `${result.deliveries} events watched over ${result.resumes} resumes; longest time without an ` +
      `answer ${result.longestStallMs} ms.`,
    verdict,
    ...violations.slice(0, WITNESSES_MAX).map(describeViolation),
    "",
  ].join("\n");
}

function describeViolation({ key, kind, message, witness }: Violation): string {
  const lines = witness.map((each) => `    ${JSON.stringify(each)}`);
  return [`  ${kind}: ${message}${key === "" ? "" : ` (key ${key})`}`, ...lines].join("\n");
}

/** One of our own server processes, whose port stays the same over restarts. */
class ServerProcess {
  readonly #settings: Settings;
  #child: ChildProcessByStdio<null, Readable, null> | undefined;
  #url = "";

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  async start(): Promise<void> {
    await this.#start("0");
  }

  get url(): string {
    return this.#url;
  }

  kill(): void {
    this.#child?.kill("SIGKILL");
  }

  /** Kills it, and waits for its end. */
  async end(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    child.once("exit", () => resolve());
    this.kill();
    await ended;
  }

  async killAndRestart(): Promise<void> {
    await this.end();
    await this.#start(new URL(this.#url).port);
  }

  async #start(port: string): Promise<void> {
    const { store, storeTimeoutMs } = this.#settings;
    const child = spawn(
      process.execPath,
      [
        MAIN,
        "serve",
        "--port",
        port,
        "--store-timeout",
        `${storeTimeoutMs}ms`,
        "--log-level",
        "silent",
      ],
      // By the environment: a URL may hold a password, and arguments are for everyone to see.
      { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, VSS_STORE: store } },
    );
    this.#child = child;
    let text = "";
    for await (const piece of child.stdout.setEncoding("utf8")) {
      text += String(piece);
      const found = /Listening on (http:\/\/[^\s,]+)/.exec(text);
      if (found?.[1] === undefined) continue;
      this.#url = found[1];
      return;
    }
    throw new Error("a server process did not come up");
  }
}
