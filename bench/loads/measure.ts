import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { resetPeak, startedCpuUs, usageOf } from "../measure/usage.ts";
import { countVersions, KEYS } from "./data.ts";
import type { LoadContext, PreparedLoad } from "./load.ts";
import { faultOf, NO_RESULT, runWrk, writePool, type WrkResult } from "./wrk.ts";

/** One round of one load on one contender. */
export interface Round {
  readonly result: WrkResult;
  /** Processor time that the contender's own process took. */
  readonly cpuUs: number;
  /** That of all that the run has started and that still runs: its back end, too, but not wrk. */
  readonly allCpuUs: number;
  readonly peakBytes: number;
  /** Bodies that were compared with what they should be. */
  readonly bodiesChecked: number;
  /** What went wrong, which only a contender other than ours may report and go on. */
  readonly fault: string | undefined;
}

export interface RoundOptions {
  readonly connections: number;
  readonly seconds: number;
  readonly seed: number;
  /** Takes the files that wrk reads. */
  readonly folder: string;
}

/** Bodies compared while a load runs: often enough to see what is wrong, seldom enough not to count. */
const CHECK_EVERY_MS = 50;
/** Bodies compared when it has ended. */
const CHECKS_AFTER = 20;

/**
 * Runs a load once, compares a sample of bodies meanwhile and afterwards, and holds what wrk counted
 * as PUT against the versions that are there.
 */
export async function measureRound(
  context: LoadContext,
  load: PreparedLoad,
  options: RoundOptions,
): Promise<Round> {
  const { contender } = context;
  const before = await countVersions(context, load.written);
  await resetPeak(contender.pid);
  const usageBefore = await usageOf(contender.pid);
  const allBefore = await startedCpuUs(process.pid);
  const sampler = startSampler(context, load);
  const result = await runLoad(context, load, options);
  const usage = await usageOf(contender.pid);
  const allCpuUs = (await startedCpuUs(process.pid)) - allBefore;
  const sampled = await sampler.stop();
  const fault = faultOf(result) ?? sampled.fault ?? (await checkMany(context, load, CHECKS_AFTER));
  const after = await countVersions(context, load.written);
  const { connections } = options;
  const made = after === undefined || before === undefined ? undefined : after - before;
  const miscount =
    made === undefined || load.written.length === 0
      ? undefined
      : versionFault({ made, answered: result.requests, connections });
  return {
    result,
    cpuUs: usage.cpuUs - usageBefore.cpuUs,
    allCpuUs,
    peakBytes: usage.peakBytes,
    bodiesChecked: sampled.checked + CHECKS_AFTER,
    fault: fault ?? miscount,
  };
}

/** A round that measured nothing. */
export function failedRound(fault: string): Round {
  return { result: NO_RESULT, cpuUs: 0, allCpuUs: 0, peakBytes: 0, bodiesChecked: 0, fault };
}

/** What was wrong with the first of some answers that was. */
async function checkMany(
  context: LoadContext,
  load: PreparedLoad,
  count: number,
): Promise<string | undefined> {
  try {
    for (let check = 0; check < count; check += 1) await load.check(context.client);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function runLoad(
  { contender, valueBytes }: LoadContext,
  load: PreparedLoad,
  { connections, seconds, seed, folder }: RoundOptions,
): Promise<WrkResult> {
  const run = { port: contender.port, connections, seconds };
  if (load.script === "cas") {
    const kind = contender.surface.isCanned ? "canned" : "stored";
    const args = [`cas${seed}-`, `${valueBytes}`, `${KEYS}`, kind];
    return runWrk({ ...run, script: "cas", args }, folder);
  }
  if (load.requests.length === 0) throw new Error("there is nothing to send");
  const file = join(folder, "requests");
  await writePool(file, load.requests, contender.port);
  return runWrk({ ...run, script: "pool", args: [file, `${seed}`] }, folder);
}

interface Sampler {
  stop(): Promise<{ readonly checked: number; readonly fault: string | undefined }>;
}

function startSampler(context: LoadContext, load: PreparedLoad): Sampler {
  const ended = new AbortController();
  let checked = 0;
  let fault: string | undefined;
  const run = async (): Promise<void> => {
    while (!ended.signal.aborted && fault === undefined) {
      try {
        await load.check(context.client);
        checked += 1;
      } catch (error) {
        fault = messageOf(error);
      }
      await sleep(CHECK_EVERY_MS, undefined, { signal: ended.signal }).catch(() => {});
    }
  };
  const running = run();
  return {
    stop: async () => {
      ended.abort();
      await running;
      return { checked, fault };
    },
  };
}

/**
 * Every PUT that was answered must have made one version. Some more may be there: those that wrk did
 * not wait for when its time was over, in this round and in the one before.
 */
export function versionFault(counts: {
  readonly made: number;
  readonly answered: number;
  readonly connections: number;
}): string | undefined {
  const { made, answered, connections } = counts;
  if (made < answered) return `${answered} PUTs were answered but only ${made} versions made`;
  if (made > answered + 2 * connections) {
    return `${answered} PUTs were answered but ${made} versions made`;
  }
  return undefined;
}
