import type { GroupName } from "../back-ends.ts";
import type { Group } from "../groups.ts";
import { runInTurns, type RunTools } from "../measure/run-cells.ts";
import { median, rateOf, shareOf } from "../report/results.ts";
import { checkFilled, fill, filledKey, filledValue, completeFill, type Fill } from "./fill.ts";
import type { LoadContext, PreparedLoad, PrepareLoad } from "./load.ts";
import { get, WireClient, type WireRequest } from "./wire.ts";

/** One operation at one size of the data. */
export interface GrowthRow {
  readonly group: GroupName;
  /** Many keys of one version, or many versions of one key. */
  readonly axis: "keys" | "versions";
  readonly size: number;
  readonly operation: Operation;
  readonly rate: number;
  readonly share: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly peakMiB: number;
  /** What each version added to the store; undefined where too few were added to tell. */
  readonly bytesPerVersion: number | undefined;
}

export type Operation = "get" | "put" | "list" | "version" | "history";

export const GROWTH_SIZES: Readonly<Record<GrowthRow["axis"], readonly number[]>> = {
  keys: [1_000, 100_000, 1_000_000],
  versions: [10, 10_000, 1_000_000],
};

const OPERATIONS: Readonly<Record<GrowthRow["axis"], readonly Operation[]>> = {
  keys: ["get", "put", "list"],
  // Puts come last: they make the history longer.
  versions: ["get", "version", "history", "put"],
};

const CONNECTIONS = 64;
const VALUE_BYTES = 100;
const LIST_PAGE = 100;
/** No more than the shortest history holds. */
const HISTORY_PAGE = 10;
/** A store takes space in pages: what fewer versions take says nothing. */
const ADDED_MIN = 5_000;
/** Requests that wrk picks from. */
const POOL = 5_000;
const MANY = "many-";
/** The key with so many versions: each size has its own, as the puts of a load make it grow. */
export const oneName = (size: number): string => `one-${size}`;

/** Grows one axis step by step, and measures the same operations at each size. */
export async function measureGrowth(
  group: Group,
  axis: GrowthRow["axis"],
  options: { readonly rounds: number; readonly sizes: readonly number[]; readonly tools: RunTools },
): Promise<readonly GrowthRow[]> {
  const { tools, rounds } = options;
  const rows: GrowthRow[] = [];
  let filled = 0;
  for (const size of options.sizes) {
    const before = await group.storedBytes();
    const from = axis === "keys" ? filled : 0;
    await growTo(group, { axis, from, to: size }, tools.folder);
    const added = ((await group.storedBytes()) - before) / (size - from);
    const bytesPerVersion = size - from < ADDED_MIN ? undefined : added;
    filled = size;
    for (const operation of OPERATIONS[axis]) {
      const title = `${group.name}, ${operation} at ${size} ${axis}`;
      const prepare = prepareFor(operation, axis, size);
      const shape = { connections: CONNECTIONS, valueBytes: VALUE_BYTES, rounds, warmUpSeconds: 1 };
      const measured = await runInTurns(group, { ...shape, title, prepare }, tools);
      const ours = measured.find(({ contender }) => contender === group.ours)?.rounds ?? [];
      const bare = measured.find(({ contender }) => contender === group.bare)?.rounds ?? [];
      const row: GrowthRow = {
        group: group.name,
        axis,
        size,
        operation,
        rate: median(ours.map(rateOf)),
        share: shareOf(ours.map(rateOf), bare.map(rateOf)),
        p50Us: median(ours.map(({ result }) => result.p50Us)),
        p99Us: median(ours.map(({ result }) => result.p99Us)),
        peakMiB: Math.max(...ours.map(({ peakBytes }) => peakBytes)) / 2 ** 20,
        bytesPerVersion,
      };
      rows.push(row);
      tools.say(`${title}: ${Math.round(row.rate)}/s = ${row.share.toFixed(2)}`);
    }
  }
  return rows;
}

async function growTo(
  { ours }: Group,
  step: { readonly axis: GrowthRow["axis"]; readonly from: number; readonly to: number },
  folder: string,
): Promise<void> {
  const isOneKey = step.axis === "versions";
  const plan: Fill = {
    port: ours.port,
    first: step.from + 1,
    last: step.to,
    name: isOneKey ? oneName(step.to) : MANY,
    isOneKey,
    valueBytes: VALUE_BYTES,
  };
  await fill(plan, folder);
  const client = new WireClient(ours.port, 1);
  try {
    await completeFill(
      { contender: ours, client, valueBytes: VALUE_BYTES, random: Math.random },
      plan,
    );
  } finally {
    client.close();
  }
}

function prepareFor(operation: Operation, axis: GrowthRow["axis"], size: number): PrepareLoad {
  return async (context) =>
    axis === "keys" ? manyKeys(context, operation, size) : oneKey(context, operation, size);
}

function manyKeys(context: LoadContext, operation: Operation, size: number): PreparedLoad {
  const { surface } = context.contender;
  const { random } = context;
  const numbers = Array.from({ length: POOL }, () => 1 + Math.floor(random() * size));
  const request = (number: number): WireRequest => {
    const key = filledKey(MANY, number);
    if (operation === "put") return surface.put(key, filledValue(key, number, VALUE_BYTES));
    // Without its last two digits, a key is the prefix of a hundred.
    if (operation === "list") return get(`/-/keys?prefix=${key.slice(0, -2)}&limit=${LIST_PAGE}`);
    return surface.get(key);
  };
  const check = async (client: WireClient): Promise<void> => {
    const key = filledKey(MANY, 1 + Math.floor(random() * size));
    const { body } = await client.sendOk(surface.get(key));
    if (!surface.isCanned) checkFilled(key, surface.readValue(body), VALUE_BYTES);
  };
  return { script: "pool", requests: numbers.map(request), written: [], check };
}

function oneKey(context: LoadContext, operation: Operation, size: number): PreparedLoad {
  const { surface } = context.contender;
  const { random } = context;
  const one = oneName(size);
  const anyVersion = (): number => 1 + Math.floor(random() * size);
  const request = (number: number): WireRequest => {
    switch (operation) {
      case "put":
        return surface.put(one, filledValue(one, number, VALUE_BYTES));
      case "history":
        return get(
          `/${one}/versions?limit=${HISTORY_PAGE}&before=${Math.max(HISTORY_PAGE, anyVersion()) + 1}`,
        );
      case "version":
        return get(`/${one}/${anyVersion()}`);
      case "get":
      case "list":
        return surface.get(one);
    }
  };
  const check = async (client: WireClient): Promise<void> => {
    const { body } = await client.sendOk(get(`/${one}/${anyVersion()}`));
    if (!surface.isCanned) checkFilled(one, surface.readValue(body), VALUE_BYTES);
  };
  const requests = Array.from({ length: POOL }, (_, number) => request(number));
  return { script: "pool", requests, written: [], check };
}
