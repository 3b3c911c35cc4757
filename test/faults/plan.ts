import { BACK_END_NAMES, type BackEndName } from "./back-ends.ts";
import type { Fault } from "./fault.ts";
import { FAULTS } from "./faults.ts";

/** One store, one fault, one seed. */
export interface PlannedRun {
  readonly backEnd: BackEndName;
  readonly fault: Fault;
  readonly seed: number;
  /** How long pauses last, in milliseconds. */
  readonly pauseMs: number;
}

export interface Wanted {
  /** Undefined: all of them, or those of the short set. */
  readonly stores: readonly string[] | undefined;
  readonly faults: readonly string[] | undefined;
  readonly seeds: readonly number[] | undefined;
  readonly pauseMs: number | undefined;
  /** Everything, with several seeds and long pauses. */
  readonly isLong: boolean;
}

/** Longer than the servers' deadline for a call to the store. */
const SHORT_PAUSE_MS = 5_000;

/** Pauses of a long run, by seed in turn: within, at and past what drivers wait for. */
const LONG_PAUSES_MS = [5_000, 10_000, 15_000];

/** Left out of the short set, because another fault shows most of it. */
const LONG_ONLY_FAULTS = ["none", "cut", "slow"];

/** Where the short set has some faults alone, because another store shows most of the others. */
const SHORT_ON: Partial<Record<BackEndName, readonly string[]>> = {
  mongodb: ["kill-back-end"],
  "redis-cluster-strict": ["lagging-replica"],
  "redis-cluster-no-wait": ["lagging-replica"],
  "redis-sentinel": ["lagging-replica"],
  "redis-sentinel-no-wait": [],
  galera: ["kill-primary", "pause-primary"],
};

/** And of some faults some stores: what our own processes do depends little on the back end. */
const SHORT_FOR: Readonly<Record<string, readonly BackEndName[]>> = {
  "kill-server": ["sqlite", "mariadb"],
  "pause-server": ["sqlite", "mongodb-replica-set"],
  "hand-over": ["mongodb-three-members"],
};

function isShort(backEnd: BackEndName, { name }: Fault): boolean {
  return (
    !LONG_ONLY_FAULTS.includes(name) &&
    (SHORT_ON[backEnd]?.includes(name) ?? true) &&
    (SHORT_FOR[name]?.includes(backEnd) ?? true)
  );
}

/** The runs that are asked for, store by store; throws where a name is unknown. */
export function planRuns(wanted: Wanted): readonly PlannedRun[] {
  check("store", wanted.stores, BACK_END_NAMES);
  check(
    "fault",
    wanted.faults,
    FAULTS.map(({ name }) => name),
  );
  // Whoever names stores and faults means these, also where the short set lacks them.
  const isAll = wanted.isLong || (wanted.stores !== undefined && wanted.faults !== undefined);
  const seeds = wanted.seeds ?? (wanted.isLong ? [1, 2, 3] : [1]);
  return BACK_END_NAMES.filter((name) => wanted.stores?.includes(name) ?? true).flatMap((backEnd) =>
    FAULTS.filter(
      (fault) =>
        fault.on.includes(backEnd) &&
        (wanted.faults?.includes(fault.name) ?? true) &&
        (isAll || isShort(backEnd, fault)),
    ).flatMap((fault) =>
      seeds.map((seed, index) => ({
        backEnd,
        fault,
        seed,
        pauseMs: wanted.pauseMs ?? pauseOf(wanted.isLong, index),
      })),
    ),
  );
}

function check(what: string, names: readonly string[] | undefined, known: readonly string[]): void {
  const unknown = names?.filter((name) => !known.includes(name)) ?? [];
  if (unknown.length === 0) return;
  throw new Error(`No ${what} is called ${unknown.join(", ")}. Known are ${known.join(", ")}.`);
}

function pauseOf(isLong: boolean, index: number): number {
  const long = LONG_PAUSES_MS[index % LONG_PAUSES_MS.length] ?? SHORT_PAUSE_MS;
  return isLong ? long : SHORT_PAUSE_MS;
}

/**
 * Whether a back end cannot promise to keep what it has acknowledged: then what is lost is counted and
 * published, and fails nothing. That is Redis where another node takes over, and Galera where one ends.
 */
export function mayLose(backEnd: BackEndName, fault: string): boolean {
  const takeovers = ["kill-primary", "lagging-replica", "pause-primary", "hand-over"];
  if (!takeovers.includes(fault)) return false;
  return backEnd.startsWith("redis-") || backEnd === "galera";
}
