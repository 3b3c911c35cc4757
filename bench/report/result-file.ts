import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunInfo } from "../measure/run-info.ts";
import type { DeleteRow } from "../loads/delete.ts";
import type { GrowthRow } from "../loads/growth.ts";
import type { WatchRow } from "../loads/watch.ts";
import type { Cell } from "./results.ts";

/**
 * What is kept of runs. Each part carries the run it is from, as a short run measures only some, and
 * leaves the others as the last long run found them.
 */
export interface BenchResult {
  readonly format: 1;
  readonly loads: Part<Cell> | undefined;
  /** Other sizes and numbers of connections. */
  readonly matrix: Part<Cell> | undefined;
  /** One server process beside two behind one port. */
  readonly workers: Part<Cell> | undefined;
  readonly watch: Part<WatchRow> | undefined;
  readonly growth: Part<GrowthRow> | undefined;
  readonly deletes: Part<DeleteRow> | undefined;
}

export interface Part<T> {
  readonly run: RunInfo;
  readonly rows: readonly T[];
}

export const EMPTY_RESULT: BenchResult = {
  format: 1,
  loads: undefined,
  matrix: undefined,
  workers: undefined,
  watch: undefined,
  growth: undefined,
  deletes: undefined,
};

export const RESULT_FILE = join(import.meta.dirname, "..", "..", "docs", "benchmarks.json");

/** The result in a file. */
export async function readResult(file: string): Promise<BenchResult> {
  const result = JSON.parse(await readFile(file, "utf8")) as BenchResult;
  if (result.format !== 1) throw new Error(`${file} is of another version of the benchmark`);
  return { ...EMPTY_RESULT, ...result };
}

export async function writeResult(file: string, result: BenchResult): Promise<void> {
  await writeFile(file, `${JSON.stringify(result, rounded, 1)}\n`);
}

/** The newer parts, and the older ones where the newer run has none. */
export function mergeResults(older: BenchResult, newer: BenchResult): BenchResult {
  return {
    format: 1,
    loads: newer.loads ?? older.loads,
    matrix: newer.matrix ?? older.matrix,
    workers: newer.workers ?? older.workers,
    watch: newer.watch ?? older.watch,
    growth: newer.growth ?? older.growth,
    deletes: newer.deletes ?? older.deletes,
  };
}

/** Digits past the fourth say nothing. */
function rounded(_name: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(6)) : value;
}
