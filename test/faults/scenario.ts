import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

import { seededRandom } from "../../src/torture/random.ts";
import type { Call, Violation } from "../../src/torture/record.ts";
import { monotonicNs } from "../../src/torture/recording-client.ts";
import { torture } from "../../src/torture/run.ts";
import { VssServer } from "../servers/vss-server.ts";
import { startBackEnd, type BackEndName } from "./back-ends.ts";
import type { Fault } from "./faults.ts";

export interface ScenarioOptions {
  readonly backEnd: BackEndName;
  readonly fault: Fault;
  readonly seed: number;
  /** How long the load lasts, in seconds; the fault comes after a third of it. */
  readonly seconds: number;
  /** How long pauses last, in milliseconds. */
  readonly pauseMs: number;
}

/** What one run showed: a row of the table in docs/reliability.md. */
export interface ScenarioResult {
  readonly backEnd: BackEndName;
  readonly fault: string;
  readonly seed: number;
  readonly calls: number;
  readonly acknowledged: number;
  readonly unknown: number;
  readonly refused: number;
  readonly violations: readonly Violation[];
  readonly longestStallMs: number;
  readonly longestCallMs: number;
  /** From the end of the fault to the next acknowledged call, in milliseconds. */
  readonly recoveryMs: number;
  /** The largest resident set of a server process, in MiB. */
  readonly memoryMax: number;
  readonly deliveries: number;
  readonly resumes: number;
}

/** Deadline of a store call in the servers under test, and how long their clients wait beyond. */
const STORE_TIMEOUT_MS = 2_000;
const CALL_TIMEOUT_MS = 5_000;

/** How long the load goes on after the fault, in milliseconds. */
const AFTERMATH_MS = 2_000;

/** One back end, some server processes, clients and watchers; one fault in the middle. */
export async function runScenario(options: ScenarioOptions): Promise<ScenarioResult> {
  const { fault, seed, seconds, pauseMs } = options;
  const backEnd = await startBackEnd(options.backEnd);
  const servers: VssServer[] = [];
  try {
    const args = ["--store-timeout", `${STORE_TIMEOUT_MS}ms`, "--log-level", "warn"];
    for (let count = 0; count < 3; count += 1) {
      servers.push(await VssServer.start({ store: backEnd.url, args }));
    }
    const memory = watchMemory(servers);
    const stop = new AbortController();
    const context = { backEnd, servers, random: seededRandom(seed), pauseMs };
    const injected = inject(fault, context, seconds);
    injected.catch(() => stop.abort());
    const loaded = torture({
      servers: servers.map(({ url }) => url),
      seed,
      seconds,
      clients: 9,
      hotKeys: 3,
      coldKeys: 30,
      hasFeed: backEnd.hasFeed,
      callTimeoutMs: CALL_TIMEOUT_MS,
      pauseMs: 10,
      signal: stop.signal,
      until: injected.then(() => sleep(AFTERMATH_MS)),
    });
    const [result, overAt] = await Promise.all([loaded, injected]);
    return {
      backEnd: options.backEnd,
      fault: fault.name,
      seed,
      ...result,
      calls: result.calls.length,
      recoveryMs: recoveryAfter(overAt, result.calls),
      memoryMax: await memory.stop(),
    };
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    await backEnd.stop();
  }
}

/** Answers when the fault was over, in nanoseconds of the monotonic clock. */
async function inject(
  fault: Fault,
  context: Parameters<Fault["inject"]>[0],
  seconds: number,
): Promise<number> {
  await sleep((seconds * 1000) / 3);
  await fault.inject(context);
  return monotonicNs();
}

function recoveryAfter(overAt: number, calls: readonly Call[]): number {
  const later = calls.filter(({ outcome, start }) => outcome === "ok" && start > overAt);
  const first = later.reduce((least, { end }) => Math.min(least, end), Infinity);
  return first === Infinity ? Infinity : Math.round((first - overAt) / 1e6);
}

/** Samples the resident set of processes, as Linux tells it. */
function watchMemory(servers: readonly VssServer[]): { readonly stop: () => Promise<number> } {
  const stop = new AbortController();
  const run = async (): Promise<number> => {
    let most = 0;
    while (!stop.signal.aborted) {
      for (const { pid } of servers) {
        const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
        const [, kib] = /^VmRSS:\s+(\d+) kB/m.exec(status) ?? [];
        most = Math.max(most, Number(kib ?? 0) / 1024);
      }
      await sleep(250, undefined, { signal: stop.signal }).catch(() => {});
    }
    return Math.round(most);
  };
  const running = run();
  return {
    stop: () => {
      stop.abort();
      return running;
    },
  };
}
