import type { GroupName } from "../back-ends.ts";
import type { Group } from "../groups.ts";
import { waitForRest } from "../measure/at-rest.ts";
import { runInTurns, type Entrant, type RunTools } from "../measure/run-cells.ts";
import { startOurs } from "../peers/ours.ts";
import { median, rateOf, shareOf } from "../report/results.ts";
import {
  fillHistories,
  fillKeys,
  GROWTH_VALUE_BYTES,
  prepareHistories,
  prepareKeys,
  type Operation,
} from "./growth-loads.ts";
import type { PrepareLoad } from "./load.ts";
import type { Round } from "./measure.ts";

/** One operation at one size of the data. */
export interface GrowthRow {
  readonly group: GroupName;
  /** Many keys of one version, or many versions of one key. */
  readonly axis: Axis;
  readonly size: number;
  readonly operation: Operation;
  readonly rate: number;
  readonly share: number;
  /**
   * How many times slower than at the smallest size: the median of the rounds, each of which measured
   * both. Undefined at the smallest size.
   */
  readonly slower: number | undefined;
  /** Processor time of a request, of our server and its back end together, in microseconds. */
  readonly cpuUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly peakMiB: number;
  /** What each version added to the store; undefined where too few were added to tell. */
  readonly bytesPerVersion: number | undefined;
}

export const AXES = ["keys", "versions"] as const;
export type Axis = (typeof AXES)[number];

export const GROWTH_SIZES: Readonly<Record<Axis, readonly number[]>> = {
  keys: [1_000, 100_000, 1_000_000],
  versions: [10, 10_000, 1_000_000],
};

const OPERATIONS: Readonly<Record<Axis, readonly Operation[]>> = {
  // Puts come last: they leave longer histories, and longest where the keys are few.
  keys: ["get", "list", "put"],
  versions: ["get", "version", "history", "put"],
};

const CONNECTIONS = 64;
/**
 * Length of the round that is not counted. The first loads of keys, on servers that have just started,
 * run until the compiler has come to rest; that of histories is warm.
 */
function warmUpSecondsOf(axis: Axis, operation: Operation): number {
  return axis === "keys" && operation !== "list" ? 4 : 1;
}

/** A store takes space in pages: what fewer versions take says nothing. */
const ADDED_MIN = 5_000;
/** Longer than before a round: a back end may have much to do after a million PUTs. */
const REST_AFTER_FILL_MS = 90_000;

/** Data of one size, and who is asked for it. */
interface Sized extends Pick<Entrant, "contender"> {
  readonly size: number;
  readonly bytesPerVersion: number | undefined;
}

/**
 * Fills all sizes of an axis, and then measures each operation at all of them in turns, so that what
 * else the machine does, and what the back end still has to do, meets them alike.
 */
export async function measureGrowth(
  group: Group,
  axis: Axis,
  options: { readonly rounds: number; readonly tools: RunTools },
): Promise<readonly GrowthRow[]> {
  const { tools } = options;
  const sized: Sized[] = [];
  try {
    for (const size of GROWTH_SIZES[axis]) sized.push(await fillOne(group, axis, size, tools));
    const restMs = await waitForRest(process.pid, REST_AFTER_FILL_MS);
    tools.say(`${group.name}: at rest ${Math.round(restMs / 1000)} s after the last fill`);
    const rows: GrowthRow[] = [];
    for (const operation of OPERATIONS[axis]) {
      rows.push(...(await measureOperation(group, { ...options, axis, operation, sized })));
    }
    return rows;
  } finally {
    for (const { contender } of sized) if (contender !== group.ours) await contender.stop();
  }
}

/** Many keys have a place and a server of their own; histories share the group's, one beside another. */
async function fillOne(group: Group, axis: Axis, size: number, tools: RunTools): Promise<Sized> {
  const started = performance.now();
  const isOfKeys = axis === "keys";
  const storeUrl = isOfKeys ? group.freshStoreUrl() : group.storeUrl;
  let contender = isOfKeys ? await startOurs({ storeUrl }) : group.ours;
  const before = await group.storedBytes(contender);
  const fill = isOfKeys ? fillKeys : fillHistories;
  const added = await fill(contender, size, tools.folder);
  const bytes = (await group.storedBytes(contender)) - before;
  if (isOfKeys && group.name !== "memory") {
    // A million PUTs leave a process warmer than a thousand: the measured ones all start anew.
    await contender.stop();
    contender = await startOurs({ storeUrl });
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  tools.say(`${group.name}: filled ${size} ${axis} in ${seconds} s`);
  return { contender, size, bytesPerVersion: added < ADDED_MIN ? undefined : bytes / added };
}

interface OperationPlan {
  readonly axis: Axis;
  readonly operation: Operation;
  readonly sized: readonly Sized[];
  readonly rounds: number;
  readonly tools: RunTools;
}

async function measureOperation(group: Group, plan: OperationPlan): Promise<readonly GrowthRow[]> {
  const { axis, operation, sized, tools, rounds } = plan;
  const title = `${group.name}, ${operation} by ${axis}`;
  const prepareAt = (size: number): PrepareLoad => {
    if (axis === "keys") return prepareKeys(operation, size);
    return prepareHistories(operation, size, tools.folder);
  };
  const [smallest] = GROWTH_SIZES[axis];
  const entrants = [
    { contender: group.bare, prepare: prepareAt(smallest ?? 0) },
    ...sized.map(({ contender, size }) => ({ contender, prepare: prepareAt(size) })),
  ];
  const shape = {
    connections: CONNECTIONS,
    valueBytes: GROWTH_VALUE_BYTES,
    warmUpSeconds: warmUpSecondsOf(axis, operation),
  };
  const preparesEachRound = axis === "versions" && operation === "put";
  const turns = { ...shape, title, entrants, rounds, preparesEachRound };
  const [bare, ...measured] = await runInTurns(group.bare, turns, tools);
  const bareRates = (bare?.rounds ?? []).map(rateOf);
  const smallestRates = (measured[0]?.rounds ?? []).map(rateOf);
  return sized.map(({ size, bytesPerVersion }, index) => {
    const ofSize = measured[index]?.rounds ?? [];
    const rates = ofSize.map(rateOf);
    const row: GrowthRow = {
      group: group.name,
      axis,
      size,
      operation,
      rate: median(rates),
      share: shareOf(rates, bareRates),
      slower: index === 0 ? undefined : shareOf(smallestRates, rates),
      ...middleOf(ofSize),
      bytesPerVersion,
    };
    tools.say(`${title}, ${size}: ${describe(row)}`);
    return row;
  });
}

function middleOf(
  rounds: readonly Round[],
): Pick<GrowthRow, "cpuUs" | "p50Us" | "p99Us" | "peakMiB"> {
  return {
    cpuUs: median(rounds.map(({ allCpuUs, result }) => allCpuUs / result.requests)),
    p50Us: median(rounds.map(({ result }) => result.p50Us)),
    p99Us: median(rounds.map(({ result }) => result.p99Us)),
    peakMiB: Math.max(...rounds.map(({ peakBytes }) => peakBytes)) / 2 ** 20,
  };
}

function describe({ rate, share, slower, cpuUs }: GrowthRow): string {
  const times = slower === undefined ? "" : `, ${slower.toFixed(2)} times slower`;
  return `${Math.round(rate)}/s = ${share.toFixed(2)}, ${cpuUs.toFixed(1)} µs${times}`;
}
