import { STORE_NAMES, type StoreName } from "../options.ts";
import type { RunInfo } from "../measure/run-info.ts";
import { LOAD_TITLES } from "../loads/load.ts";
import { workersPairs } from "./load-tables.ts";
import type { Part } from "./result-file.ts";
import { findCell, shareOf, type Cell } from "./results.ts";

/** One figure that is aimed for, and what a run measured. */
export interface Target {
  /** What is compared with what. */
  readonly what: string;
  readonly store: string;
  readonly wanted: string;
  readonly measured: number;
  readonly isMet: boolean;
  /** The figure says nothing: something else held up what it is compared with. */
  readonly isDisturbed?: boolean;
}

/** Shares of the bare server's rate, at 64 connections and 100-byte values. */
export const SHARES: Readonly<Record<"get" | "put" | "hot", Readonly<Record<StoreName, number>>>> =
  {
    get: { memory: 0.9, sqlite: 0.75, redis: 0.8, mariadb: 0.65, mongodb: 0.6 },
    put: { memory: 0.7, sqlite: 0.45, redis: 0.55, mariadb: 0.4, mongodb: 0.25 },
    hot: { memory: 0.7, sqlite: 0.45, redis: 0.5, mariadb: 0.4, mongodb: 0.25 },
  };

const TITLES = { get: "GET latest", put: "PUT, 1,000 keys", hot: "PUT, one key" } as const;

/** How many times the rate of the server written by hand. */
const OVER_NAIVE: Readonly<Record<"get" | "put", Partial<Record<StoreName, number>>>> = {
  get: { redis: 1, mariadb: 2.5, mongodb: 2.5 },
  put: { redis: 1, mariadb: 4, mongodb: 4 },
};

const OVER_ETCD = 2;
const OVER_ETCD_PUT_MONGODB = 1.2;
const P99_OVER_P50 = 4;
const ONE_CONNECTION_OVER_NAIVE = 1.05;

/** How many times the rate of one process two of them reach, with cores to spare. */
export const WORKERS_TIMES = 1.5;
/** Two for our processes, one for the back end and one for the load generator. */
const CORES_FOR_WORKERS = 4;

/** The bare server does less for a request than any other: only noise takes a share past this. */
const SHARE_MAX = 1.1;

const SHAPE = { connections: 64, valueBytes: 100 } as const;

/** Every target that the cells of a run can say something about. */
export function judgeTargets(cells: readonly Cell[]): readonly Target[] {
  const targets = STORE_NAMES.flatMap((store) => [
    ...(["get", "put", "hot"] as const).map((load) => share(cells, store, load)),
    ...(["get", "put"] as const).map((load) => overNaive(cells, store, load)),
    ...(["get", "put"] as const).map((load) => overEtcd(cells, store, load)),
    ...(["get", "put", "hot"] as const).map((load) => tail(cells, store, load)),
    ...(["get", "put"] as const).map((load) => alone(cells, store, load)),
  ]);
  return targets.filter((target) => target !== undefined);
}

/** Whether a second process of our server has a core to run on. */
export function hasCoresToSpare({ cores }: RunInfo): boolean {
  return cores >= CORES_FOR_WORKERS;
}

/** Nothing where the machine has no cores to spare. */
export function judgeWorkers(part: Part<Cell> | undefined): readonly Target[] {
  if (part === undefined || !hasCoresToSpare(part.run)) return [];
  return workersPairs(part.rows).map(({ one, two }) =>
    atLeast(`${LOAD_TITLES[one.load]}: two processes, times one`, one.group, {
      wanted: WORKERS_TIMES,
      measured: shareOf(two.rates, one.rates),
    }),
  );
}

type Judge<L extends string> = (
  cells: readonly Cell[],
  store: StoreName,
  load: L,
) => Target | undefined;

const share: Judge<"get" | "put" | "hot"> = (cells, store, load) => {
  const ours = findCell(cells, { group: store, contender: "ours", load, ...SHAPE });
  if (ours === undefined) return undefined;
  const target = atLeast(`${TITLES[load]}: share of the bare server`, store, {
    wanted: SHARES[load][store],
    measured: ours.share,
  });
  if (ours.share <= SHARE_MAX) return target;
  return { ...target, isMet: false, isDisturbed: true };
};

const overNaive: Judge<"get" | "put"> = (cells, store, load) => {
  const wanted = OVER_NAIVE[load][store];
  const ours = findCell(cells, { group: store, contender: "ours", load, ...SHAPE });
  const naive = findCell(cells, { group: store, contender: "naive", load, ...SHAPE });
  if (wanted === undefined || ours === undefined || naive === undefined) return undefined;
  const measured = shareOf(ours.rates, naive.rates);
  return atLeast(`${TITLES[load]}: times the naive server`, store, { wanted, measured });
};

/**
 * etcd is measured in turns with the bare server too, so shares of it compare, though the two were
 * not run in the same minute.
 */
const overEtcd: Judge<"get" | "put"> = (cells, store, load) => {
  if (store === "memory") return undefined;
  const ours = findCell(cells, { group: store, contender: "ours", load, ...SHAPE });
  const etcd = findCell(cells, { group: "peers", contender: "etcd", load, ...SHAPE });
  if (ours === undefined || etcd === undefined) return undefined;
  const isHard = store === "mongodb" && load === "put";
  const wanted = isHard ? OVER_ETCD_PUT_MONGODB : OVER_ETCD;
  const measured = ours.share / etcd.share;
  return atLeast(`${TITLES[load]}: times etcd's gateway`, store, { wanted, measured });
};

const tail: Judge<"get" | "put" | "hot"> = (cells, store, load) => {
  const ours = findCell(cells, { group: store, contender: "ours", load, ...SHAPE });
  if (ours === undefined) return undefined;
  const measured = ours.p99Us / ours.p50Us;
  return {
    what: `${TITLES[load]}: p99 over p50`,
    store,
    wanted: `under ${P99_OVER_P50}`,
    measured,
    isMet: measured < P99_OVER_P50,
  };
};

const alone: Judge<"get" | "put"> = (cells, store, load) => {
  const shape = { load, connections: 1, valueBytes: 100 };
  const ours = findCell(cells, { group: store, contender: "ours", ...shape });
  const naive = findCell(cells, { group: store, contender: "naive", ...shape });
  if (ours === undefined || naive === undefined) return undefined;
  const measured = ours.p50Us / naive.p50Us;
  return {
    what: `${TITLES[load]}, one connection: p50 over the naive server's`,
    store,
    wanted: `at most ${ONE_CONNECTION_OVER_NAIVE}`,
    measured,
    isMet: measured <= ONE_CONNECTION_OVER_NAIVE,
  };
};

function atLeast(
  what: string,
  store: string,
  figure: { readonly wanted: number; readonly measured: number },
): Target {
  const { wanted, measured } = figure;
  return { what, store, wanted: wanted.toFixed(2), measured, isMet: measured >= wanted };
}
