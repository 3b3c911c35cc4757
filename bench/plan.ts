import type { LoadName } from "./loads/load.ts";
import type { CellPlan } from "./measure/run-cells.ts";
import type { BenchOptions } from "./options.ts";

export const CONNECTIONS_DEFAULT = 64;
export const VALUE_BYTES_DEFAULT = 100;
const CONNECTIONS_ALL = [1, 16, 64, 256];
const VALUE_BYTES_ALL = [100, 1024, 65_536];

/** The loads that targets are set for get all rounds; the others half of them. */
const MAIN_LOADS: ReadonlySet<LoadName> = new Set(["get", "put", "hot"]);
/** The loads whose figures are shown at every size and number of connections. */
const MATRIX_LOADS: ReadonlySet<LoadName> = new Set(["get", "put"]);

/** What to measure on each group of contenders, in order. */
export function planCells(options: BenchOptions): readonly CellPlan[] {
  const shapes = shapesOf(options);
  return options.loads.flatMap((load) =>
    shapes
      .filter(({ loads }) => loads === "all" || MATRIX_LOADS.has(load))
      .map((shape) => ({
        load,
        connections: shape.connections,
        valueBytes: shape.valueBytes,
        rounds:
          MAIN_LOADS.has(load) && shape.loads === "all" ? options.rounds : halfOf(options.rounds),
      })),
  );
}

interface Shape {
  readonly connections: number;
  readonly valueBytes: number;
  readonly loads: "all" | "matrix";
}

function shapesOf(options: BenchOptions): readonly Shape[] {
  const { connections, sizes, full } = options;
  if (connections !== undefined || sizes !== undefined) {
    return (connections ?? [CONNECTIONS_DEFAULT]).flatMap((count) =>
      (sizes ?? [VALUE_BYTES_DEFAULT]).map((valueBytes) => ({
        connections: count,
        valueBytes,
        loads: "all" as const,
      })),
    );
  }
  const main: Shape = {
    connections: CONNECTIONS_DEFAULT,
    valueBytes: VALUE_BYTES_DEFAULT,
    loads: "all",
  };
  const counts = full ? CONNECTIONS_ALL : [1];
  const others = counts.flatMap((count) =>
    (full ? VALUE_BYTES_ALL : [VALUE_BYTES_DEFAULT])
      .map((valueBytes): Shape => ({ connections: count, valueBytes, loads: "matrix" }))
      .filter(
        (shape) => shape.connections !== main.connections || shape.valueBytes !== main.valueBytes,
      ),
  );
  return [main, ...others];
}

function halfOf(rounds: number): number {
  return Math.max(1, Math.ceil(rounds / 2));
}
