import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

import { seededRandom } from "../../src/torture/random.ts";
import type { Call, Violation } from "../../src/torture/record.ts";
import { monotonicNs } from "../../src/torture/recording-client.ts";
import { torture, type TortureResult } from "../../src/torture/run.ts";
import { removeFolder, temporaryFolder, waitUntil } from "../servers/process.ts";
import { VssServer } from "../servers/vss-server.ts";
import { startBackEnd, type BackEnd, type BackEndName } from "./back-ends.ts";
import type { Fault, FaultContext } from "./fault.ts";
import { SmallDisk } from "./full-disk.ts";
import { mayLose } from "./plan.ts";

export interface ScenarioOptions {
  readonly backEnd: BackEndName;
  readonly fault: Fault;
  readonly seed: number;
  /** How long the load lasts at least, in seconds; the fault comes after a third of it. */
  readonly seconds: number;
  /** How long pauses last, in milliseconds. */
  readonly pauseMs: number;
  /** Milliseconds added to every limit, where other work on the machine may hold processes up. */
  readonly patienceMs?: number;
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
  /** From the end of the fault to the first acknowledged call, or the last failing one, if later. */
  readonly recoveryMs: number;
  /** The largest resident set of a server process before the fault and in all, in MiB. */
  readonly memoryBefore: number;
  readonly memoryMax: number;
  readonly deliveries: number;
  readonly resumes: number;
  /** How many calls failed, by how. */
  readonly failures: ReadonlyMap<string, number>;
  readonly notes: readonly string[];
}

/** Deadline of a store call in the servers under test. */
const STORE_TIMEOUT_MS = 2_000;

/** A request may wait for the batch before its own, and then for its own; a second for the rest. */
const CALL_TIMEOUT_MS = 2 * STORE_TIMEOUT_MS + 1_000;

/** How long the load goes on after the fault, in milliseconds. */
const AFTERMATH_MS = 2_500;

/** How many puts have to be seen after the fault where other work may hold them up. */
const PUTS_AFTER_MIN = 20;

/** How much a server process may grow over a fault, in MiB: a heap grows before it is cleaned. */
const MEMORY_GROWTH_MAX = 150;

/** Their files only grow, so that a limit on the size of files stands for a full disk. */
const LIMITED_INSTEAD: readonly BackEndName[] = ["sqlite", "redis"];

/** How a server may refuse a call while its back end can't serve it. */
const REFUSALS: readonly string[] = [
  "store_unavailable",
  "store_full",
  "store_read_only",
  "outcome_unknown",
  "overloaded",
];

/** One back end, some server processes, clients and watchers; one fault in the middle. */
export async function runScenario(options: ScenarioOptions): Promise<ScenarioResult> {
  const { fault } = options;
  const folder = await temporaryFolder("scenario");
  const disk =
    fault.diskMebibytes === undefined ? undefined : await SmallDisk.make(fault.diskMebibytes);
  const notes: string[] = [];
  if (disk?.isMounted === false) notes.push("no right to mount: files may not grow instead");
  let backEnd: BackEnd | undefined;
  const servers: VssServer[] = [];
  try {
    if (disk?.isMounted === false && !LIMITED_INSTEAD.includes(options.backEnd)) {
      throw new Error(
        `A full disk below ${options.backEnd} needs the right to mount a tmpfs: a limit on files would ` +
          "refuse writes to room that it has put by. Run this as root, or leave disk-full out.",
      );
    }
    backEnd = await startBackEnd(options.backEnd, disk?.folder);
    const note = (text: string): void => void notes.push(text);
    servers.push(...(await startServers(backEnd, fault, { folder, note })));
    const result = await loadAndHurt(options, { backEnd, servers, folder, disk });
    return { ...result, notes };
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    await backEnd?.stop();
    await disk?.remove();
    await removeFolder(folder);
  }
}

async function startServers(
  backEnd: BackEnd,
  fault: Fault,
  { folder, note }: { readonly folder: string; readonly note: (text: string) => void },
): Promise<readonly VssServer[]> {
  const args = ["--store-timeout", `${STORE_TIMEOUT_MS}ms`, "--log-level", "warn"];
  const first = (await fault.firstServer?.(folder, note)) ?? {};
  const firstArgs = [...args, ...(first.args ?? [])];
  // The first one sets the store up; an older release could not do so once a newer one has.
  return [
    await VssServer.start({ ...first, store: backEnd.url, args: firstArgs }),
    ...(await Promise.all([1, 2].map(() => VssServer.start({ store: backEnd.url, args })))),
  ];
}

async function loadAndHurt(
  options: ScenarioOptions,
  parts: Pick<FaultContext, "backEnd" | "servers" | "folder" | "disk">,
): Promise<Omit<ScenarioResult, "notes">> {
  const { backEnd, fault, seed } = options;
  const memory = new Memory(parts.servers);
  try {
    const { result, overAt } = await load(options, parts, memory);
    const { before: memoryBefore, most: memoryMax } = memory;
    const violations = [...result.violations, ...answerViolations(result.calls, fault)];
    if (memoryMax - memoryBefore > MEMORY_GROWTH_MAX) {
      violations.push(violation("memory", `memory grew from ${memoryBefore} to ${memoryMax} MiB`));
    }
    return {
      backEnd,
      fault: fault.name,
      seed,
      ...result,
      violations,
      calls: result.calls.length,
      recoveryMs: recoveryAfter(overAt, result.calls),
      memoryBefore,
      memoryMax,
      failures: countFailures(result.calls),
    };
  } finally {
    await memory.stop();
  }
}

/** Answers what clients saw, and when the fault was over. */
async function load(
  options: ScenarioOptions,
  parts: Pick<FaultContext, "backEnd" | "servers" | "folder" | "disk">,
  memory: Memory,
): Promise<{ readonly result: TortureResult; readonly overAt: number }> {
  const { backEnd: name, fault, seed, seconds, pauseMs, patienceMs = 0 } = options;
  const { backEnd, servers } = parts;
  const stop = new AbortController();
  let overAt = Infinity;
  const over = (): void => void (overAt = monotonicNs());
  const context = { ...parts, random: seededRandom(seed), pauseMs, over };
  const hurt = async (): Promise<void> => {
    await sleep((seconds * 1_000) / 3);
    await memory.mark();
    await fault.inject(context);
    if (overAt === Infinity) over();
  };
  let putsAfter = 0;
  const onCall = ({ op, outcome, start }: Call): void => {
    if (op === "put" && outcome === "ok" && start > overAt) putsAfter += 1;
  };
  const recovered = (): Promise<void> =>
    waitUntil("puts after the fault", () => putsAfter > PUTS_AFTER_MIN, patienceMs);
  const injected = hurt();
  injected.catch(() => stop.abort());
  const loaded = torture({
    servers: servers.map(({ url }) => url),
    seed,
    seconds,
    clients: 9,
    // With several nodes, some of the hot keys are to lie on the one that is hurt.
    hotKeys: backEnd.group === undefined ? 3 : 8,
    coldKeys: 30,
    hasFeed: backEnd.hasFeed,
    callTimeoutMs: CALL_TIMEOUT_MS + patienceMs,
    pauseMs: 10,
    settleMs: 10_000 + patienceMs,
    isLossy: mayLose(name, fault.name),
    ...(fault.valueBytesMax === undefined ? {} : { valueBytesMax: fault.valueBytesMax }),
    onCall,
    signal: stop.signal,
    until: injected
      .then(() => (patienceMs > 0 ? recovered() : undefined))
      .then(() => sleep(AFTERMATH_MS)),
  });
  const [result] = await Promise.all([loaded, injected]);
  return { result, overAt };
}

function violation(kind: Violation["kind"], message: string, ...witness: unknown[]): Violation {
  return { key: "", kind, message, witness };
}

/** Every call is to be answered in time, and in the way that servers refuse. */
function answerViolations(calls: readonly Call[], { excuses = [] }: Fault): readonly Violation[] {
  const allowed = new Set<string>([...REFUSALS, ...excuses]);
  return calls
    .filter(({ failure }) => failure !== undefined && !allowed.has(failure))
    .map((call) => violation("answer", `a call ended in ${call.failure}`, call));
}

function countFailures(calls: readonly Call[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { failure } of calls) {
    if (failure !== undefined) counts.set(failure, (counts.get(failure) ?? 0) + 1);
  }
  return counts;
}

function recoveryAfter(overAt: number, calls: readonly Call[]): number {
  const later = calls.filter(({ start }) => start > overAt);
  const firstDone = later
    .filter(({ outcome }) => outcome === "ok")
    .reduce((least, { end }) => Math.min(least, end), Infinity);
  const lastFailed = later
    .filter(({ failure }) => failure !== undefined)
    .reduce((most, { end }) => Math.max(most, end), overAt);
  return firstDone === Infinity
    ? Infinity
    : Math.round((Math.max(firstDone, lastFailed) - overAt) / 1e6);
}

/** Samples the resident sets of processes, as Linux tells them; in MiB. */
class Memory {
  readonly #servers: readonly VssServer[];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #most = 0;
  #before = 0;

  constructor(servers: readonly VssServer[]) {
    this.#servers = servers;
    this.#running = this.#run();
  }

  /** What it is now is what it was before the fault. */
  async mark(): Promise<void> {
    await this.#sample();
    this.#before = this.#most;
  }

  get before(): number {
    return Math.round(this.#before);
  }

  get most(): number {
    return Math.round(this.#most);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#sample();
      await sleep(250, undefined, { signal }).catch(() => {});
    }
  }

  async #sample(): Promise<void> {
    for (const { pid } of this.#servers) {
      const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
      const [, kib] = /^VmRSS:\s+(\d+) kB/m.exec(status) ?? [];
      this.#most = Math.max(this.#most, Number(kib ?? 0) / 1024);
    }
  }
}
