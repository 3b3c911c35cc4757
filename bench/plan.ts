import type { LoadName } from "./loads/load.ts";
import type { CellPlan } from "./measure/run-cells.ts";
import type { BenchOptions } from "./options.ts";

export const CONNECTIONS_DEFAULT = 64;
export const VALUE_BYTES_DEFAULT = 100;
const CONNECTIONS_ALL = [1, 16, 64, 256];
const VALUE_BYTES_ALL = [100, 1024, 65_536];
/** What shows whether several processes do more than one. */
const WORKERS_LOADS = ["get", "put"] as const;

/** The loads that targets are set for get all rounds; the others half of them. */
const MAIN_LOADS: ReadonlySet<LoadName> = new Set(["get", "put", "hot"]);
const PEER_LOADS: ReadonlySet<LoadName> = new Set(["get", "put", "hot", "version", "mix"]);
/** The loads that run nearly all code that the others do. */
const FIRST_LOADS: ReadonlySet<LoadName> = new Set(["get", "put"]);
/** The loads whose figures are shown at every size and number of connections. */
const MATRIX_LOADS: ReadonlySet<LoadName> = new Set(["get", "put"]);

/** Whether the main tables have it: the matrix then leaves it out. */
function isMainShape({ connections, valueBytes }: Shape): boolean {
  return (
    valueBytes === VALUE_BYTES_DEFAULT && (connections === CONNECTIONS_DEFAULT || connections === 1)
  );
}

/** What to measure on each group of contenders, in order. */
export function planCells(options: BenchOptions): readonly CellPlan[] {
  return plan(options.loads, shapesOf(options), options.rounds);
}

/** What to measure on the peers: what they can do, at the size and number that targets are set for. */
export function planPeers(options: BenchOptions): readonly CellPlan[] {
  const wanted = options.loads.length === 0 ? [...PEER_LOADS] : options.loads;
  const loads = wanted.filter((load) => PEER_LOADS.has(load));
  return plan(loads, shapesOf(options).slice(0, 1), options.rounds);
}

/** GET and PUT at every size and number of connections that {@link planCells} leaves out. */
export function planMatrix({ rounds }: BenchOptions): readonly CellPlan[] {
  const shapes = VALUE_BYTES_ALL.flatMap((valueBytes) =>
    CONNECTIONS_ALL.map((connections): Shape => ({ connections, valueBytes, loads: "matrix" })),
  );
  const wanted = shapes.filter((shape) => !isMainShape(shape));
  return plan([...MATRIX_LOADS], wanted, rounds);
}

/** What to measure on one server process and on two behind one port. */
export function planWorkers({ rounds }: BenchOptions): readonly CellPlan[] {
  return plan(WORKERS_LOADS, [MAIN_SHAPE], rounds);
}

function plan(
  loads: readonly LoadName[],
  shapes: readonly Shape[],
  rounds: number,
): readonly CellPlan[] {
  return loads.flatMap((load) => {
    const wanted = shapes.filter((shape) => shape.loads === "all" || MATRIX_LOADS.has(load));
    return wanted.map((shape, index) => ({
      load,
      connections: shape.connections,
      valueBytes: shape.valueBytes,
      rounds: MAIN_LOADS.has(load) && shape.loads === "all" ? rounds : halfOf(rounds),
      warmUpSeconds: warmUpOf(load, shape, wanted[index - 1]),
    }));
  });
}

/**
 * The loads that come first run until the compiler has come to rest, which takes some seconds. Values
 * of a size are warm when they come again with another number of connections.
 */
function warmUpOf(load: LoadName, shape: Shape, before: Shape | undefined): number {
  if (before === undefined) return FIRST_LOADS.has(load) ? 4 : 1;
  return before.valueBytes === shape.valueBytes ? 0 : 1;
}

interface Shape {
  readonly connections: number;
  readonly valueBytes: number;
  readonly loads: "all" | "matrix";
}

const MAIN_SHAPE: Shape = {
  connections: CONNECTIONS_DEFAULT,
  valueBytes: VALUE_BYTES_DEFAULT,
  loads: "all",
};

function shapesOf(options: BenchOptions): readonly Shape[] {
  const { connections, sizes } = options;
  if (connections !== undefined || sizes !== undefined) {
    return (connections ?? [CONNECTIONS_DEFAULT]).flatMap((count) =>
      (sizes ?? [VALUE_BYTES_DEFAULT]).map((valueBytes) => ({
        connections: count,
        valueBytes,
        loads: "all" as const,
      })),
    );
  }
  return [MAIN_SHAPE, { ...MAIN_SHAPE, connections: 1, loads: "matrix" }];
}

function halfOf(rounds: number): number {
  return Math.max(1, Math.ceil(rounds / 2));
}
