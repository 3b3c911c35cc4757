import type { Contender } from "../peers/contender.ts";
import { checkFilled, completeFill, fill, filledKey, filledValue, type Fill } from "./fill.ts";
import type { LoadContext, PreparedLoad, PrepareLoad } from "./load.ts";
import { forEachParallel, get, WireClient, type WireRequest } from "./wire.ts";

/** What is done at each size. */
export type Operation = "get" | "put" | "list" | "version" | "history";

export const GROWTH_VALUE_BYTES = 100;
/**
 * Keys or versions that the requests of a load are for, at each size as many: what is remembered of
 * them, by whatever cache, should not differ with the size.
 */
const ASKED_FOR = 5_000;
/** Keys on a page: those that have all but the last two digits in common. */
const LIST_PAGE = 100;
/** As many pages as a thousand keys have. */
const LIST_PAGES = 10;
/** No more than the shortest history holds. */
const HISTORY_PAGE = 10;
/** A load of PUTs adds some ten thousand versions in a second. */
const HARDLY_GROWS = 1_000_000;
/** Requests under way while short histories are made. */
const PARALLEL = 32;
const MANY = "many-";

/** The keys of so many versions each: short histories are of several keys, which together have enough. */
export function keysOfHistories(size: number): readonly string[] {
  if (size >= ASKED_FOR) return [`one-${size}`];
  return Array.from({ length: ASKED_FOR / size }, (_, index) => filledKey(`few-${size}-`, index));
}

/** Makes so many keys of one version; answers how many versions it put. */
export async function fillKeys(server: Contender, size: number, folder: string): Promise<number> {
  // From 0 on, so that every hundred has a prefix of its own.
  await fillWhole(server, { first: 0, last: size - 1, name: MANY, isOneKey: false }, folder);
  return size;
}

/** Makes histories of so many versions; answers how many versions it put. */
export async function fillHistories(
  server: Contender,
  size: number,
  folder: string,
): Promise<number> {
  const keys = keysOfHistories(size);
  const [only = ""] = keys;
  if (keys.length === 1) await fillHistory(server, only, size, folder);
  else await putHistories(server, keys, size);
  return keys.length * size;
}

async function fillHistory(
  server: Contender,
  name: string,
  size: number,
  folder: string,
): Promise<void> {
  await fillWhole(server, { first: 1, last: size, name, isOneKey: true }, folder);
}

async function fillWhole(
  server: Contender,
  what: Omit<Fill, "port" | "valueBytes">,
  folder: string,
): Promise<void> {
  const plan = { ...what, port: server.port, valueBytes: GROWTH_VALUE_BYTES };
  await fill(plan, folder);
  const client = new WireClient(server.port, 1);
  try {
    const { valueBytes } = plan;
    await completeFill({ contender: server, client, valueBytes, random: Math.random }, plan);
  } finally {
    client.close();
  }
}

async function putHistories(
  { port, surface }: Contender,
  keys: readonly string[],
  size: number,
): Promise<void> {
  const client = new WireClient(port, PARALLEL);
  try {
    await forEachParallel(keys.length, PARALLEL, async (index) => {
      const key = keys[index] ?? "";
      for (let version = 1; version <= size; version += 1) {
        await client.sendOk(surface.put(key, filledValue(key, version, GROWTH_VALUE_BYTES)));
      }
    });
  } finally {
    client.close();
  }
}

/** An operation on some of the keys that {@link fillKeys} made. */
export function prepareKeys(operation: Operation, size: number): PrepareLoad {
  return async ({ contender: { surface }, random }) => {
    const request = (number: number): WireRequest => {
      const key = filledKey(MANY, number);
      if (operation === "put")
        return surface.put(key, filledValue(key, number, GROWTH_VALUE_BYTES));
      return surface.get(key);
    };
    const page = (number: number): WireRequest => {
      const prefix = filledKey(MANY, number * LIST_PAGE).slice(0, -2);
      return get(`/-/keys?prefix=${prefix}&limit=${LIST_PAGE}`);
    };
    const requests =
      operation === "list"
        ? pick(LIST_PAGES, size / LIST_PAGE, random).map(page)
        : pick(ASKED_FOR, size, random).map(request);
    const check = async (client: WireClient): Promise<void> => {
      const key = filledKey(MANY, Math.floor(random() * size));
      const { body } = await client.sendOk(surface.get(key));
      if (!surface.isCanned) checkFilled(key, surface.readValue(body), GROWTH_VALUE_BYTES);
    };
    return { script: "pool", requests, written: [], check };
  };
}

/** An operation on the histories that {@link fillHistories} made. */
export function prepareHistories(operation: Operation, size: number, folder: string): PrepareLoad {
  const keys = keysOfHistories(size);
  if (operation === "put") return preparePuts(keys, size, folder);
  return async (context) => {
    const requests = historyRequests(operation, { keys, size, random: context.random });
    return { script: "pool", requests, written: [], check: checkOf(context, keys, size) };
  };
}

/** PUTs to one key. A history that they make much longer is made anew, each time this is asked. */
function preparePuts(keys: readonly string[], size: number, folder: string): PrepareLoad {
  let [key = ""] = keys;
  let made = 0;
  return async (context) => {
    const { surface } = context.contender;
    if (size < HARDLY_GROWS && !surface.isCanned) {
      made += 1;
      key = `put-${size}-${made}`;
      await fillHistory(context.contender, key, size, folder);
    }
    const requests = Array.from({ length: ASKED_FOR }, (_, number) =>
      surface.put(key, filledValue(key, number, GROWTH_VALUE_BYTES)),
    );
    return { script: "pool", requests, written: [], check: checkOf(context, [key], size) };
  };
}

interface Histories {
  readonly keys: readonly string[];
  /** Versions of each. */
  readonly size: number;
  readonly random: () => number;
}

function historyRequests(
  operation: Operation,
  { keys, size, random }: Histories,
): readonly WireRequest[] {
  const versions = keys.length * size;
  // All versions are counted through, from key to key.
  const keyOf = (number: number): string => keys[Math.floor(number / size)] ?? "";
  if (operation === "version") {
    return pick(ASKED_FOR, versions, random).map((number) =>
      get(`/${keyOf(number)}/${(number % size) + 1}`),
    );
  }
  if (operation === "history") {
    return pick(ASKED_FOR / HISTORY_PAGE, versions / HISTORY_PAGE, random).map((page) => {
      const first = page * HISTORY_PAGE;
      const before = (first % size) + HISTORY_PAGE + 1;
      return get(`/${keyOf(first)}/versions?limit=${HISTORY_PAGE}&before=${before}`);
    });
  }
  return [get(`/${keys[0]}`)];
}

/** Compares any of the versions that were filled. */
function checkOf(
  { contender: { surface }, random }: LoadContext,
  keys: readonly string[],
  size: number,
): PreparedLoad["check"] {
  return async (client) => {
    const key = keys[Math.floor(random() * keys.length)] ?? "";
    const { body } = await client.sendOk(get(`/${key}/${1 + Math.floor(random() * size)}`));
    if (!surface.isCanned) checkFilled(key, surface.readValue(body), GROWTH_VALUE_BYTES);
  };
}

/** So many different numbers below a bound, or all where there are no more. */
export function pick(count: number, below: number, random: () => number): readonly number[] {
  if (below <= count) return Array.from({ length: below }, (_, number) => number);
  const picked = new Set<number>();
  while (picked.size < count) picked.add(Math.floor(random() * below));
  return [...picked];
}
