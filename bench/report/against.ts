import { LOAD_TITLES } from "../loads/load.ts";
import type { BenchResult } from "./result-file.ts";
import { findCell, type Cell } from "./results.ts";
import { formatCount, formatMs, formatShare, type Table } from "./table.ts";

/** Our server now and in an earlier run. Machines and minutes differ: compare the shares. */
export function againstTable(earlier: BenchResult, now: BenchResult): Table {
  const before = cellsOf(earlier);
  const rows = cellsOf(now).flatMap((cell) => {
    if (cell.contender !== "ours" || cell.group === "peers") return [];
    const { group, contender, load, connections, valueBytes } = cell;
    const old = findCell(before, { group, contender, load, connections, valueBytes });
    if (old === undefined) return [];
    return [
      [
        `${group}, ${LOAD_TITLES[load]}, ${connections} conn., ${formatCount(valueBytes)} B`,
        formatShare(old.share),
        formatShare(cell.share),
        formatShare(cell.share / old.share),
        formatMs(old.p99Us),
        formatMs(cell.p99Us),
      ],
    ];
  });
  return { headers: ["", "share then", "now", "ratio", "p99 ms then", "now"], rows };
}

function cellsOf({ loads, matrix }: BenchResult): readonly Cell[] {
  return [...(loads?.rows ?? []), ...(matrix?.rows ?? [])];
}
