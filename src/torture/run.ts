import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { checkKey } from "./checker.ts";
import { pick, seededRandom, type Random } from "./random.ts";
import type { Call, KeyRecord, Violation } from "./record.ts";
import { idOfValue, monotonicNs, RecordingClient } from "./recording-client.ts";
import { RecordingWatcher } from "./recording-watcher.ts";

export interface TortureOptions {
  /** Base URLs of server processes over one store. Each client calls all of them in turn. */
  readonly servers: readonly string[];
  readonly seed: number;
  readonly seconds: number;
  readonly clients: number;
  /** Keys that all clients write, and keys that each writes seldom. */
  readonly hotKeys: number;
  readonly coldKeys: number;
  /** Whether the store has a feed: without it, keys are never deleted. */
  readonly hasFeed: boolean;
  /**
   * The back end may lose what it has acknowledged. Keys are then never deleted, and each is checked by
   * its history at rest alone, so that losses are counted exactly; watchers still have to see an order.
   */
  readonly isLossy?: boolean;
  /** No answer within this long counts as unknown, in milliseconds. */
  readonly callTimeoutMs: number;
  /** Largest value of a plain put; 200 bytes unless told. */
  readonly valueBytesMax?: number;
  /** Between two calls of a client, at most, in milliseconds. */
  readonly pauseMs: number;
  /**
   * How long writes that are still under way, and watchers that are to be told of them, may take to come
   * to rest, in milliseconds; 30,000 unless told.
   */
  readonly settleMs?: number;
  /** Ends the load early. */
  readonly signal?: AbortSignal;
  /**
   * Resolves when the load may end: what is being done to the servers is over. What is at rest is read
   * no earlier, also where `signal` has ended the load.
   */
  readonly until?: Promise<unknown>;
  /** Is told of every call as it ends. */
  readonly onCall?: (call: Call) => void;
}

export interface TortureResult {
  /** All keys of the run start with it. */
  readonly prefix: string;
  readonly calls: readonly Call[];
  readonly acknowledged: number;
  readonly unknown: number;
  readonly refused: number;
  readonly versions: number;
  readonly deliveries: number;
  readonly resumes: number;
  readonly violations: readonly Violation[];
  /**
   * The longest time in which no call on one of the hot keys was acknowledged, in milliseconds, and how
   * long one call took.
   */
  readonly longestStallMs: number;
  readonly longestCallMs: number;
}

/** How long servers may take to come back at the end, in nanoseconds. */
const READ_AT_REST_NS = 30e9;

const SETTLE_MS_DEFAULT = 30_000;

const WATCHERS = 2;

const VALUE_BYTES_MAX_DEFAULT = 200;

/**
 * Loads servers with overlapping calls while somebody else hurts them, then reads everything at rest
 * and checks what was promised. What the clients do follows from the seed; how it interleaves does not.
 */
export async function torture(options: TortureOptions): Promise<TortureResult> {
  const random = seededRandom(options.seed);
  const prefix = `torture-${options.seed}-${randomUUID()}/`;
  const names = (kind: string, count: number): string[] =>
    Array.from({ length: count }, (_, index) => `${prefix}${kind}-${index}`);
  const keys = { hot: names("hot", options.hotKeys), cold: names("cold", options.coldKeys) };
  const watchers = options.hasFeed ? newWatchers(options, prefix, random) : [];
  await Promise.all(watchers.map((watcher) => watcher.start()));

  const calls: Call[] = [];
  const onCall = (call: Call): void => {
    calls.push(call);
    options.onCall?.(call);
  };
  const end = monotonicNs() + options.seconds * 1e9;
  let mayEnd = options.until === undefined;
  const until = options.until?.finally(() => (mayEnd = true)).catch(() => {});
  const isOver = (): boolean => (mayEnd && monotonicNs() > end) || options.signal?.aborted === true;
  await Promise.all(
    Array.from({ length: options.clients }, (_, index) =>
      runClient(
        { index, keys, isOver, random: seededRandom(options.seed * 1000 + index), onCall },
        options,
      ),
    ),
  );
  // A signal ends the load alone: a server that is coming up again has to be there when keys are read.
  await until;
  const all = [...keys.hot, ...keys.cold];
  return conclude(options, { prefix, hotKeys: keys.hot, keys: all, calls, watchers });
}

function newWatchers(
  options: TortureOptions,
  prefix: string,
  random: Random,
): readonly RecordingWatcher[] {
  return Array.from(
    { length: WATCHERS },
    (_, index) =>
      new RecordingWatcher({
        name: `watcher-${index}`,
        servers: options.servers,
        prefix,
        random: seededRandom(Math.floor(random() * 1e9)),
      }),
  );
}

interface ClientParts {
  readonly index: number;
  readonly keys: { readonly hot: readonly string[]; readonly cold: readonly string[] };
  readonly isOver: () => boolean;
  readonly random: Random;
  readonly onCall: (call: Call) => void;
}

async function runClient(parts: ClientParts, options: TortureOptions): Promise<void> {
  const { random, index, keys } = parts;
  const client = new RecordingClient({
    name: `client-${index}`,
    baseUrl: () => pick(random, options.servers),
    onCall: parts.onCall,
    timeoutMs: options.callTimeoutMs,
  });
  let count = 0;
  while (!parts.isOver()) {
    const key = random() < 0.5 ? pick(random, keys.hot) : pick(random, keys.cold);
    const id = `c${index}-${(count += 1)}`;
    await callOnce(client, { key, id, random, options });
    if (options.pauseMs > 0) await sleep(random() * options.pauseMs);
  }
}

interface CallParts {
  readonly key: string;
  readonly id: string;
  readonly random: Random;
  readonly options: TortureOptions;
}

async function callOnce(client: RecordingClient, parts: CallParts): Promise<void> {
  const { key, id, random, options } = parts;
  const { valueBytesMax = VALUE_BYTES_MAX_DEFAULT } = options;
  const hasDeletes = options.hasFeed && options.isLossy !== true;
  const dice = random();
  if (dice < 0.4) await client.put(key, id, { bytes: Math.floor(random() * valueBytesMax) });
  else if (dice < 0.5) await putSafely(client, key, id);
  else if (dice < 0.62) await putOnLatest(client, parts);
  else if (dice < 0.65 && hasDeletes) await client.delete(key);
  else if (dice < 0.75) await client.getVersion(key, 1 + Math.floor(random() * 20));
  else await client.get(key);
}

/** A put with a request id, sent again while its outcome is unknown: it must happen once. */
async function putSafely(client: RecordingClient, key: string, id: string): Promise<void> {
  const attempts = 3;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const call = await client.put(key, id, { requestId: id });
    if (call.outcome !== "unknown") return;
  }
}

async function putOnLatest(client: RecordingClient, { key, id, random }: CallParts): Promise<void> {
  const read = await client.get(key);
  if (read.op !== "get" || read.outcome !== "ok") return;
  // Now and then deliberately wrong, so that refusals are seen too.
  const cas = (read.seen?.version ?? 0) + (random() < 0.1 ? 1 : 0);
  await client.put(key, id, { cas });
}

interface Finished {
  readonly prefix: string;
  readonly hotKeys: readonly string[];
  readonly keys: readonly string[];
  readonly calls: readonly Call[];
  readonly watchers: readonly RecordingWatcher[];
}

async function conclude(options: TortureOptions, parts: Finished): Promise<TortureResult> {
  const { keys, calls, watchers } = parts;
  const finals = await readAtRest(options, keys, watchers);
  const violations = watchers.flatMap((watcher) => watcher.violations);
  for (const key of keys) {
    const final = finals.get(key) ?? [];
    const mine = calls.filter((call) => call.key === key);
    const told = watchers.map(({ deliveries }) => deliveries.filter((each) => each.key === key));
    for (const deliveries of options.hasFeed && options.isLossy !== true ? told : [undefined]) {
      violations.push(...checkKey({ key, calls: mine, deliveries, final }));
    }
  }
  const { prefix, hotKeys } = parts;
  return { prefix, ...summarize(calls, { hotKeys, finals, watchers, violations }) };
}

/**
 * Reads every key's history, and stops the watchers in the moment in which they have been told of the
 * same. A write whose outcome nobody knows may come long after its call has ended: a key of which
 * watchers know something else, less or more, is read again.
 */
async function readAtRest(
  { servers, settleMs = SETTLE_MS_DEFAULT }: TortureOptions,
  keys: readonly string[],
  watchers: readonly RecordingWatcher[],
): Promise<ReadonlyMap<string, KeyRecord["final"]>> {
  const finals = new Map<string, KeyRecord["final"]>();
  const hasSettled = (key: string): boolean =>
    watchers.every((watcher) => watcher.hasReached(key, finals.get(key)?.at(-1)));
  for (const key of keys) finals.set(key, await readFinal(servers, key));
  const deadline = monotonicNs() + settleMs * 1e6;
  for (;;) {
    const open = keys.filter((key) => !hasSettled(key));
    if (open.length === 0 || monotonicNs() > deadline) break;
    await sleep(20);
    for (const key of open) if (!hasSettled(key)) finals.set(key, await readFinal(servers, key));
  }
  await Promise.all(watchers.map((watcher) => watcher.stop()));
  return finals;
}

/** Reads a key's whole history, over whichever server answers. */
async function readFinal(servers: readonly string[], key: string): Promise<KeyRecord["final"]> {
  const deadline = monotonicNs() + READ_AT_REST_NS;
  for (let attempt = 0; ; attempt += 1) {
    const server = servers[attempt % servers.length] ?? "";
    try {
      return await readHistory(server, key);
    } catch (error) {
      if (monotonicNs() > deadline) throw error;
      await sleep(100);
    }
  }
}

interface VersionInAnswer {
  readonly version: number;
  readonly etag: string;
  readonly value: string;
  readonly createdAt: string;
}

async function readHistory(server: string, key: string): Promise<KeyRecord["final"]> {
  const found: KeyRecord["final"][number][] = [];
  const path = `${server}/${encodeURIComponent(key)}/versions?values=true&limit=1000`;
  for (let before = ""; ;) {
    const response = await fetch(path + before, { signal: AbortSignal.timeout(10_000) });
    if (response.status === 404) return [];
    if (response.status !== 200) throw new Error(`the history of ${key}: ${response.status}`);
    const page = (await response.json()) as {
      readonly versions: readonly VersionInAnswer[];
      readonly next?: number;
    };
    for (const { version, etag, value, createdAt } of page.versions) {
      found.unshift({
        incarnation: etag.slice(1, etag.lastIndexOf(".")),
        version,
        id: idOfValue(value),
        createdAt: Date.parse(createdAt),
      });
    }
    if (page.next === undefined) return found;
    before = `&before=${page.next}`;
  }
}

function summarize(
  calls: readonly Call[],
  rest: {
    readonly hotKeys: readonly string[];
    readonly finals: ReadonlyMap<string, KeyRecord["final"]>;
    readonly watchers: readonly RecordingWatcher[];
    readonly violations: readonly Violation[];
  },
): Omit<TortureResult, "prefix"> {
  const count = (outcome: Call["outcome"]): number =>
    calls.filter((call) => call.outcome === outcome).length;
  const stalls = rest.hotKeys.flatMap((key) => gapsBetween(calls, key));
  const toMs = (values: readonly number[]): number =>
    Math.round(values.reduce((most, value) => Math.max(most, value), 0) / 1e6);
  return {
    calls,
    acknowledged: count("ok"),
    unknown: count("unknown"),
    refused: count("no"),
    versions: [...rest.finals.values()].reduce((sum, { length }) => sum + length, 0),
    deliveries: rest.watchers.reduce((sum, { deliveries }) => sum + deliveries.length, 0),
    resumes: rest.watchers.reduce((sum, { resumes }) => sum + resumes, 0),
    violations: rest.violations,
    longestStallMs: toMs(stalls),
    longestCallMs: toMs(calls.map(({ start, end }) => end - start)),
  };
}

/** Times between acknowledged calls on a key. */
function gapsBetween(calls: readonly Call[], key: string): readonly number[] {
  const ends = calls
    .filter((call) => call.outcome === "ok" && call.key === key)
    .map(({ end }) => end)
    .toSorted((a, b) => a - b);
  return ends.slice(1).map((end, index) => end - (ends[index] ?? end));
}
