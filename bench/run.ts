import type { GroupName } from "./back-ends.ts";
import { startGroup, type Beside, type Group, type GroupFacts } from "./groups.ts";
import { measureDelete, type DeleteRow } from "./loads/delete.ts";
import { keysOfHistories } from "./loads/growth-loads.ts";
import { AXES, GROWTH_SIZES, measureGrowth, type Axis, type GrowthRow } from "./loads/growth.ts";
import { measureWatch, type WatchRow } from "./loads/watch.ts";
import { startOurs } from "./peers/ours.ts";
import { runCell, type CellPlan, type RunTools } from "./measure/run-cells.ts";
import type { RunInfo } from "./measure/run-info.ts";
import type { BenchOptions, StoreName } from "./options.ts";
import { planCells, planMatrix, planPeers, planWorkers } from "./plan.ts";
import type { BenchResult, Part } from "./report/result-file.ts";
import type { Cell } from "./report/results.ts";

const WATCHERS = [1, 100, 1_000, 2_000];
const WATCH_WRITES = 20;
/** Long enough for a thousand deliveries, so that one write does not wait for the one before. */
const WATCH_EVERY_MS = 200;

/** Runs all that the options ask for; parts that they leave out are undefined. */
export async function runBench(
  options: BenchOptions,
  run: RunInfo,
  tools: RunTools,
): Promise<BenchResult> {
  const loads: Cell[] = [];
  const matrix: Cell[] = [];
  const workers: Cell[] = [];
  const watch: WatchRow[] = [];
  const growth: GrowthRow[] = [];
  const deletes: DeleteRow[] = [];
  const facts: GroupFacts[] = [];
  const { extras } = options;
  for (const name of groupsOf(options)) {
    const plans = name === "peers" ? planPeers(options) : planCells(options);
    const measured = await measureGroup(name, plans, { options, tools });
    facts.push(measured.facts);
    loads.push(...measured.cells);
    watch.push(...measured.watch);
    if (name === "peers") continue;
    if (extras.includes("matrix")) {
      matrix.push(...(await runCells(name, planMatrix(options), { beside: "nothing", tools })));
    }
    // In memory there is one process, or there are several states.
    if (extras.includes("workers") && name !== "memory") {
      workers.push(...(await runCells(name, planWorkers(options), { beside: "workers", tools })));
    }
    if (extras.includes("growth")) {
      const grown = await growStore(name, options, tools);
      growth.push(...grown.growth);
      deletes.push(...grown.deletes);
    }
  }
  const full: RunInfo = { ...run, groups: facts };
  return {
    format: 1,
    loads: partOf(full, loads),
    matrix: partOf(full, matrix),
    workers: partOf(full, workers),
    watch: partOf(full, watch),
    growth: partOf(full, growth),
    deletes: partOf(full, deletes),
  };
}

function groupsOf({ stores, extras }: BenchOptions): readonly GroupName[] {
  return extras.includes("peers") ? [...stores, "peers"] : stores;
}

function partOf<T>(run: RunInfo, rows: readonly T[]): Part<T> | undefined {
  return rows.length === 0 ? undefined : { run, rows };
}

interface MeasuredGroup {
  readonly facts: GroupFacts;
  readonly cells: readonly Cell[];
  readonly watch: readonly WatchRow[];
}

async function measureGroup(
  name: GroupName,
  plans: readonly CellPlan[],
  { options, tools }: { readonly options: BenchOptions; readonly tools: RunTools },
): Promise<MeasuredGroup> {
  const isWatched = name !== "peers" && options.extras.includes("watch");
  const watch = isWatched ? await watchAll(name, tools) : [];
  const group = await startGroup(name, plans.length === 0 ? "nothing" : "others");
  try {
    const cells: Cell[] = [];
    for (const plan of plans) cells.push(...(await runCell(group, plan, tools)));
    return { facts: group.facts, cells, watch };
  } finally {
    await group.stop();
  }
}

/** Starts a group anew, and runs some loads on it. */
async function runCells(
  name: StoreName,
  plans: readonly CellPlan[],
  { beside, tools }: { readonly beside: Beside; readonly tools: RunTools },
): Promise<readonly Cell[]> {
  const group = await startGroup(name, beside);
  try {
    const cells: Cell[] = [];
    for (const plan of plans) cells.push(...(await runCell(group, plan, tools)));
    return cells;
  } finally {
    await group.stop();
  }
}

/**
 * On processes of its own: what a load leaves in memory would hide what watchers take, and a process
 * that has had thousands of watchers takes more for a PUT.
 */
async function watchAll(name: StoreName, tools: RunTools): Promise<readonly WatchRow[]> {
  const group = await startGroup(name, "nothing");
  try {
    return await watchOn(group, tools);
  } finally {
    await group.stop();
  }
}

async function watchOn(group: Group, { say }: RunTools): Promise<readonly WatchRow[]> {
  const rows: WatchRow[] = [];
  const { name, ours, storeUrl } = group;
  // What is written in one process has to reach the watchers of another.
  const other = name === "memory" ? undefined : await startOurs({ storeUrl });
  const servers = { watched: ours, written: other ?? ours };
  try {
    for (const watchers of WATCHERS) {
      const shape = { watchers, writes: WATCH_WRITES, everyMs: WATCH_EVERY_MS };
      const row = await measureWatch(name, servers, shape);
      const [p50, p99] = [row.p50Us, row.p99Us].map((us) => (us / 1000).toFixed(1));
      say(`${name.padEnd(8)} watch, ${watchers} watchers: p50 ${p50} ms, p99 ${p99} ms`);
      rows.push(row);
    }
  } finally {
    await other?.stop();
  }
  return rows;
}

interface Grown {
  readonly growth: readonly GrowthRow[];
  readonly deletes: readonly DeleteRow[];
}

async function growStore(name: StoreName, options: BenchOptions, tools: RunTools): Promise<Grown> {
  const grown: Grown[] = [];
  for (const axis of AXES) grown.push(await growAxis(name, axis, { options, tools }));
  return {
    growth: grown.flatMap(({ growth }) => growth),
    deletes: grown.flatMap(({ deletes }) => deletes),
  };
}

/** Starts anew, so that nothing of the loads before counts. */
async function growAxis(
  name: StoreName,
  axis: Axis,
  { options, tools }: { readonly options: BenchOptions; readonly tools: RunTools },
): Promise<Grown> {
  const group = await startGroup(name, "nothing");
  try {
    const growth = await measureGrowth(group, axis, { rounds: options.rounds, tools });
    if (axis === "keys") return { growth, deletes: [] };
    const [longest = ""] = keysOfHistories(Math.max(...GROWTH_SIZES.versions));
    const deleted = await measureDelete(group, longest, tools);
    const [deleteMs, maxMs] = [deleted.deleteUs, deleted.maxUs].map((us) => (us / 1000).toFixed(1));
    tools.say(`${name.padEnd(8)} DELETE: ${deleteMs} ms, longest GET of others ${maxMs} ms`);
    return { growth, deletes: [deleted] };
  } finally {
    await group.stop();
  }
}
