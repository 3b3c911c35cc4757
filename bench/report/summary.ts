import {
  deleteTable,
  growthCpuTable,
  growthTable,
  judgeDeletes,
  judgeGrowth,
  judgeWatch,
  sizesTable,
  watchTable,
} from "./growth-tables.ts";
import { AXES } from "../loads/growth.ts";
import { LOAD_TITLES } from "../loads/load.ts";
import {
  byLoad,
  contenderTable,
  faultLines,
  overviewTable,
  targetTable,
  workersTable,
} from "./load-tables.ts";
import type { BenchResult } from "./result-file.ts";
import type { Cell } from "./results.ts";
import { toText, type Table } from "./table.ts";
import { judgeTargets, judgeWorkers } from "./targets.ts";

function connectionsOf({ connections }: Cell): string {
  return connections === 1 ? "one connection" : `${connections} connections`;
}

/** What a run measured, for a terminal. */
export function summarize(result: BenchResult): string {
  const cells = [...(result.loads?.rows ?? []), ...(result.matrix?.rows ?? [])];
  const shapes = new Map(
    cells.map((cell) => [`${connectionsOf(cell)}, ${cell.valueBytes}-byte values`, cell]),
  );
  const blocks: string[] = [];
  const add = (title: string, table: Table): void => {
    if (table.rows.length > 0) blocks.push(`${title}\n\n${toText(table)}`);
  };
  for (const [shape, { connections, valueBytes }] of shapes) {
    const of = cells.filter(
      (cell) => cell.connections === connections && cell.valueBytes === valueBytes,
    );
    for (const one of byLoad(of)) {
      add(`${LOAD_TITLES[one.load]}; ${shape}`, contenderTable(one.cells));
    }
  }
  add("Our server", overviewTable(cells));
  add("Two processes behind one port", workersTable(result.workers?.rows ?? []));
  add("Watch", watchTable(result.watch?.rows ?? []));
  const growth = result.growth?.rows ?? [];
  for (const axis of AXES) {
    add(`Growth by ${axis}`, growthTable(growth, axis));
    add(`Growth by ${axis}, processor time in microseconds`, growthCpuTable(growth, axis));
  }
  add("DELETE of a long history", deleteTable(result.deletes?.rows ?? []));
  add("Bytes", sizesTable(growth));
  const targets = [
    ...judgeTargets(cells),
    ...judgeWorkers(result.workers),
    ...judgeGrowth(growth),
    ...judgeWatch(result.watch?.rows ?? []),
    ...judgeDeletes(result.deletes?.rows ?? []),
  ];
  add("What is aimed for", targetTable(targets));
  const faults = faultLines(cells);
  if (faults.length > 0) blocks.push(`What went wrong\n\n${faults.join("\n")}`);
  return blocks.join("\n\n");
}
