import { LOAD_NAMES, LOAD_TITLES, type LoadName } from "../loads/load.ts";
import { STORE_NAMES } from "../options.ts";
import { findCell, shareOf, type Cell } from "./results.ts";
import { formatCount, formatMs, formatShare, type Table } from "./table.ts";
import type { Target } from "./targets.ts";

/** Our server on every store: a row per load. */
export function overviewTable(cells: readonly Cell[]): Table {
  const stores = STORE_NAMES.filter((store) => findCell(cells, { group: store }) !== undefined);
  const rows = LOAD_NAMES.flatMap((load) => {
    const shape = { load, connections: 64, valueBytes: 100 };
    if (findCell(cells, { ...shape, contender: "ours" }) === undefined) return [];
    const row = stores.map((group) => {
      const ours = findCell(cells, { group, contender: "ours", ...shape });
      return ours === undefined ? "–" : `${formatCount(ours.rate)} (${formatShare(ours.share)})`;
    });
    return [[LOAD_TITLES[load], ...row]];
  });
  return { headers: ["answers/s (share of bare)", ...stores], rows };
}

/** All contenders under one load. */
export function contenderTable(cells: readonly Cell[]): Table {
  const headers = [
    "",
    "answers/s",
    "of bare",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "CPU s per million",
    "peak MiB",
    "wrk's core",
  ];
  const rows = cells.map((cell) => [
    `${cell.group}: ${nameOf(cell)}${cell.faults.length > 0 ? " (wrong)" : ""}`,
    formatCount(cell.rate),
    formatShare(cell.share),
    formatMs(cell.p50Us),
    formatMs(cell.p99Us),
    formatMs(cell.p999Us),
    formatCount(cell.cpuSecondsPerMillion),
    formatCount(cell.peakMiB),
    `${Math.round(cell.generatorShare * 100)} %`,
  ]);
  return { headers, rows };
}

/** Beside the peers, ours only gives the bytes that the bare server answers. */
function nameOf({ group, contender }: Cell): string {
  return group === "peers" && contender === "ours" ? "ours, memory" : contender;
}

/** The loads that some cells are of, each with its cells. */
export function byLoad(
  cells: readonly Cell[],
): readonly { readonly load: LoadName; readonly cells: readonly Cell[] }[] {
  return LOAD_NAMES.map((load) => ({
    load,
    cells: cells.filter((cell) => cell.load === load),
  })).filter((one) => one.cells.length > 0);
}

/** Our server's rate by size of values and number of connections. */
export function matrixTable(cells: readonly Cell[], load: LoadName): Table {
  const ours = cells.filter(
    (cell) => cell.load === load && cell.contender === "ours" && cell.group !== "peers",
  );
  const shapes = [...new Map(ours.map((cell) => [shapeOf(cell), cell])).values()].toSorted(
    (a, b) => a.valueBytes - b.valueBytes || a.connections - b.connections,
  );
  const stores = STORE_NAMES.filter((store) => ours.some((cell) => cell.group === store));
  const rows = shapes.map(({ connections, valueBytes }) => [
    `${formatCount(valueBytes)} B, ${connections} conn.`,
    ...stores.map((group) => {
      const cell = findCell(ours, { group, connections, valueBytes });
      if (cell === undefined) return "–";
      return `${formatCount(cell.rate)} (${formatShare(cell.share)}), ${formatMs(cell.p99Us)} ms`;
    }),
  ]);
  return { headers: ["answers/s (share of bare), p99", ...stores], rows };
}

/** One process of our server, and two behind one port. */
export function workersTable(cells: readonly Cell[]): Table {
  const rows = workersPairs(cells).map(({ one, two }) => [
    `${one.group}: ${LOAD_TITLES[one.load]}`,
    ...[one, two].map((cell) => `${formatCount(cell.rate)} (${formatShare(cell.share)})`),
    formatShare(shareOf(two.rates, one.rates)),
    ...[one, two].map((cell) => formatCount(cell.cpuSecondsPerMillion)),
  ]);
  return {
    headers: ["answers/s (share of bare)", "1 process", "2", "times", "CPU s per million", "of 2"],
    rows,
  };
}

/** Each load that both one process and two were measured under. */
export function workersPairs(
  cells: readonly Cell[],
): readonly { readonly one: Cell; readonly two: Cell }[] {
  return cells
    .filter(({ contender }) => contender === "ours")
    .flatMap((one) => {
      const { group, load } = one;
      const two = findCell(cells, { group, load, contender: "workers" });
      return two === undefined ? [] : [{ one, two }];
    });
}

function shapeOf({ connections, valueBytes }: Cell): string {
  return `${connections}/${valueBytes}`;
}

export function targetTable(targets: readonly Target[]): Table {
  return {
    headers: ["", "store", "aim", "this run", ""],
    rows: targets.map((target) => [
      target.what,
      target.store,
      target.wanted,
      formatShare(target.measured),
      verdictOf(target),
    ]),
  };
}

function verdictOf({ isMet, isDisturbed }: Target): string {
  if (isDisturbed === true) return "**disturbed**: the bare server was held up";
  return isMet ? "met" : "**missed**";
}

/** Every fault that a contender showed, told with where. */
export function faultLines(cells: readonly Cell[]): readonly string[] {
  return cells.flatMap(({ group, contender, load, connections, faults }) =>
    faults.map(
      (fault) =>
        `${group}, ${contender}, ${LOAD_TITLES[load]}, ${connections} connections: ${fault}`,
    ),
  );
}
