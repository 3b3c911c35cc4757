import type { DeleteRow } from "../loads/delete.ts";
import { AXES, GROWTH_SIZES, type Axis, type GrowthRow } from "../loads/growth.ts";
import type { Operation } from "../loads/growth-loads.ts";
import type { WatchRow } from "../loads/watch.ts";
import { STORE_NAMES, type StoreName } from "../options.ts";
import { formatCount, formatMs, formatShare, type Table } from "./table.ts";
import type { Target } from "./targets.ts";

const OPERATION_TITLES: Readonly<Record<Operation, string>> = {
  get: "GET latest",
  put: "PUT",
  list: "list, 100 keys",
  version: "GET a version",
  history: "history, 10 versions",
};

/** How many times slower than at the smallest size an operation may become. */
const GROWTH_MAX = 1.5;

/** Answers per second, and shares of the bare server's. */
export function growthTable(rows: readonly GrowthRow[], axis: Axis): Table {
  return bySize(rows, axis, ({ rate, share }) => `${formatCount(rate)} (${formatShare(share)})`);
}

/** Processor time of a request, and how many times that of the smallest size it is. */
export function growthCpuTable(rows: readonly GrowthRow[], axis: Axis): Table {
  return bySize(rows, axis, ({ size, cpuUs }, smallest) => {
    if (!Number.isFinite(cpuUs)) return "–";
    const times = size === smallest.size ? "" : ` (${formatShare(cpuUs / smallest.cpuUs)})`;
    return `${formatCount(cpuUs)}${times}`;
  });
}

/** A line for each operation and store, a column for each size. */
function bySize(
  rows: readonly GrowthRow[],
  axis: Axis,
  format: (row: GrowthRow, smallest: GrowthRow) => string,
): Table {
  const of = rows.filter((row) => row.axis === axis);
  const sizes = GROWTH_SIZES[axis].filter((size) => of.some((row) => row.size === size));
  const operations = [...new Set(of.map(({ operation }) => operation))];
  const groups = [...new Set(of.map(({ group }) => group))];
  const body = operations.flatMap((operation) =>
    groups.map((group) => {
      const line = of.filter((row) => row.group === group && row.operation === operation);
      const [smallest] = line;
      const cells = sizes.map((size) => {
        const row = line.find((one) => one.size === size);
        return row === undefined || smallest === undefined ? "–" : format(row, smallest);
      });
      return [`${OPERATION_TITLES[operation]}, ${group}`, ...cells];
    }),
  );
  return { headers: ["", ...sizes.map((size) => `${formatCount(size)} ${axis}`)], rows: body };
}

export function sizesTable(rows: readonly GrowthRow[]): Table {
  const groups = [...new Set(rows.map(({ group }) => group))];
  return {
    headers: ["", "bytes per key of one version", "bytes per version of one key", "peak MiB"],
    rows: groups.map((group) => {
      const of = rows.filter((row) => row.group === group);
      const largest = (axis: Axis): string => {
        const row = of.findLast((one) => one.axis === axis && one.bytesPerVersion !== undefined);
        return row?.bytesPerVersion === undefined ? "–" : formatCount(row.bytesPerVersion);
      };
      const peak = Math.max(...of.map(({ peakMiB }) => peakMiB));
      return [group, largest("keys"), largest("versions"), formatCount(peak)];
    }),
  };
}

export function watchTable(rows: readonly WatchRow[]): Table {
  return {
    headers: ["", "watchers", "p50 ms", "p99 ms", "its PUT, p50 ms", "KiB per watcher"],
    rows: rows.map((row) => [
      row.group,
      formatCount(row.watchers),
      formatMs(row.p50Us),
      formatMs(row.p99Us),
      formatMs(row.putP50Us),
      row.watchers < 100 ? "–" : row.kibPerWatcher.toFixed(1),
    ]),
  };
}

export function deleteTable(rows: readonly DeleteRow[]): Table {
  return {
    headers: [
      "",
      "versions",
      "DELETE, ms",
      "others' p99 ms",
      "their longest, ms",
      "without it, ms",
    ],
    rows: rows.map((row) => [
      row.group,
      formatCount(row.versions),
      formatMs(row.deleteUs),
      formatMs(row.p99Us),
      formatMs(row.maxUs),
      formatMs(row.maxBeforeUs),
    ]),
  };
}

/** Whether operations stay as fast as they were at the smallest size. */
export function judgeGrowth(rows: readonly GrowthRow[]): readonly Target[] {
  const stores = STORE_NAMES.filter((store) => rows.some(({ group }) => group === store));
  return stores.flatMap((store) => AXES.flatMap((axis) => judgeAxis(rows, store, axis)));
}

function judgeAxis(rows: readonly GrowthRow[], store: StoreName, axis: Axis): readonly Target[] {
  const of = rows.filter((row) => row.group === store && row.axis === axis);
  const operations = [...new Set(of.map(({ operation }) => operation))];
  return operations.flatMap((operation) => {
    const slower = of.flatMap((row) => (row.operation === operation ? (row.slower ?? []) : []));
    if (slower.length === 0) return [];
    const measured = Math.max(...slower);
    return {
      what: `${OPERATION_TITLES[operation]}: times slower as ${axis} grow`,
      store,
      wanted: `at most ${GROWTH_MAX}`,
      measured,
      isMet: measured <= GROWTH_MAX,
    };
  });
}

const KIB_PER_WATCHER_MAX = 40;
/** Where memory for each of so many watchers is judged. */
const WATCHERS_JUDGED = 2_000;

export function judgeWatch(rows: readonly WatchRow[]): readonly Target[] {
  return rows
    .filter(({ watchers }) => watchers === WATCHERS_JUDGED)
    .map(({ group, kibPerWatcher }) => ({
      what: `KiB for each of ${formatCount(WATCHERS_JUDGED)} watchers`,
      store: group,
      wanted: `under ${KIB_PER_WATCHER_MAX}`,
      measured: kibPerWatcher,
      isMet: kibPerWatcher < KIB_PER_WATCHER_MAX,
    }));
}

const WAIT_FOR_DELETE_MS_MAX = 100;

export function judgeDeletes(rows: readonly DeleteRow[]): readonly Target[] {
  return rows.map(({ group, maxUs }) => ({
    what: "Longest GET of others while a long history is deleted, ms",
    store: group,
    wanted: `at most ${WAIT_FOR_DELETE_MS_MAX}`,
    measured: maxUs / 1000,
    isMet: maxUs / 1000 <= WAIT_FOR_DELETE_MS_MAX,
  }));
}
