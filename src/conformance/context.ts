import { keyOf, unique } from "./build.ts";
import type { Key } from "../key.ts";
import type { Change, Cursor, Store, StoreOptions } from "../store.ts";
import { systemClock, type Clock } from "../telemetry/clock.ts";
import { silentLog } from "../telemetry/log.ts";
import { Follower } from "./follower.ts";
import type { Need, Open, StoreFacts } from "./facts.ts";
import type { StartWorker, WorkerProcess } from "./workers.ts";

/** One test of the suite, as data: `node:test` runs it on real stores, a prover on broken ones. */
export interface StoreCase {
  /** A sentence about behaviour. Unique in the suite, so that an exception can name it. */
  readonly name: string;
  /** Without these the store has nothing to show here, and the case is left out. */
  readonly needs?: readonly Need[];
  run(context: StoreContext): Promise<void>;
}

/** The real time, moved by as much as a case likes. */
export class MovableClock implements Clock {
  offsetMs = 0;

  now(): number {
    return systemClock.now() + this.offsetMs;
  }

  monotonic(): number {
    return systemClock.monotonic();
  }
}

/** Long enough for a busy machine; a store that hangs still fails within a case's own time. */
const TIMEOUT_MS = 120_000;

export function storeOptions(clock: Clock): StoreOptions {
  return { clock, log: silentLog, timeoutMs: TIMEOUT_MS, connectTimeoutMs: TIMEOUT_MS };
}

/** What the cases of one suite share: one open store, and the means to have more. */
export interface SuiteResources {
  readonly facts: StoreFacts;
  readonly open: Open;
  /** Answers the URL of a new, empty store on every call. */
  readonly newUrl: () => Promise<string> | string;
  readonly startWorker: StartWorker;
  /** How long a change may take to reach a follower before a case gives up on it. */
  readonly patienceMs: number;
}

/** What one case works with. Whatever it opens or starts ends with it. */
export class StoreContext {
  readonly facts: StoreFacts;
  /** The suite's store, in which each case uses keys of its own. */
  readonly store: Store;
  readonly clock: MovableClock;
  readonly url: string;
  readonly #resources: SuiteResources;
  readonly #opened: Store[] = [];
  readonly #workers: WorkerProcess[] = [];
  readonly #pool: WorkerProcess[];

  constructor(suite: OpenSuite) {
    this.facts = suite.resources.facts;
    this.store = suite.store;
    this.clock = suite.clock;
    this.url = suite.url;
    this.#resources = suite.resources;
    this.#pool = suite.pool;
  }

  /** A key that no other case uses. */
  key(suffix = ""): Key {
    return keyOf(`${unique()}${suffix}`);
  }

  /** Keys that no other case uses; they share a `{tag}`, so every store takes them together. */
  taggedKeys(count: number): readonly Key[] {
    const tag = unique();
    return Array.from({ length: count }, (_, i) => keyOf(`{${tag}}:${i}`));
  }

  newUrl(): Promise<string> | string {
    return this.#resources.newUrl();
  }

  /** Opens another instance; of the suite's own store, where no other URL is given. */
  async open(url: string = this.url, clock: Clock = systemClock): Promise<Store> {
    const store = await this.#resources.open(url, storeOptions(clock));
    this.#opened.push(store);
    return store;
  }

  /** Opens a store that holds nothing, for what would disturb the suite's own. */
  async openEmpty(clock: Clock = systemClock): Promise<Store> {
    return this.open(await this.newUrl(), clock);
  }

  /** Follows the feed of a store; from `"now"`, answers when "now" has been reached. */
  async follow(
    store: Store,
    keys: readonly Key[],
    after: Cursor | "now" = "now",
  ): Promise<Follower> {
    const abort = new AbortController();
    const { patienceMs } = this.#resources;
    const batches = store.changes(after, abort.signal);
    const follower = new Follower(batches, { keys, abort, patienceMs });
    if (after === "now") await follower.until("the start", () => follower.caughtUpBatches > 0);
    return follower;
  }

  /** Reads the feed from a cursor to the present. */
  async changesSince(
    store: Store,
    keys: readonly Key[],
    cursor: Cursor,
  ): Promise<readonly Change[]> {
    const follower = await this.follow(store, keys, cursor);
    return follower.drain();
  }

  /** Processes that have the suite's store open; the same ones serve case after case. */
  async workers(count: number): Promise<readonly WorkerProcess[]> {
    const missing = Math.max(0, count - this.#pool.length);
    this.#pool.push(...(await this.#start(missing, this.url)));
    return this.#pool.slice(0, count);
  }

  /** Processes of this case's own on another URL, which it may kill. */
  async workersOn(url: string, count: number): Promise<readonly WorkerProcess[]> {
    const started = await this.#start(count, url);
    this.#workers.push(...started);
    return started;
  }

  async #start(count: number, url: string): Promise<readonly WorkerProcess[]> {
    const starts = Array.from({ length: count }, () => this.#resources.startWorker(url));
    const settled = await Promise.allSettled(starts);
    const started = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const failed = settled.find((one) => one.status === "rejected");
    if (failed === undefined) return started;
    await stopAll(started);
    throw failed.reason;
  }

  /** Ends whatever the case has left open. */
  async end(): Promise<void> {
    await stopAll(this.#workers);
    await Promise.all(this.#opened.map((store) => store.close()));
    this.clock.offsetMs = 0;
  }
}

/** A suite whose store is open. */
export interface OpenSuite {
  readonly resources: SuiteResources;
  readonly url: string;
  readonly store: Store;
  readonly clock: MovableClock;
  /** Processes that have the store open, started when a case first needs them. */
  readonly pool: WorkerProcess[];
}

export async function openSuite(resources: SuiteResources): Promise<OpenSuite> {
  const clock = new MovableClock();
  const url = await resources.newUrl();
  const store = await resources.open(url, storeOptions(clock));
  return { resources, url, clock, store, pool: [] };
}

export async function closeSuite(suite: OpenSuite): Promise<void> {
  await stopAll(suite.pool.splice(0));
  await suite.store.close();
}

async function stopAll(workers: readonly WorkerProcess[]): Promise<void> {
  await Promise.all(workers.map((worker) => worker.stop()));
}

/** Runs one case and ends what it left open, also where it fails. */
export async function runCase(suite: OpenSuite, test: StoreCase): Promise<void> {
  const context = new StoreContext(suite);
  try {
    await test.run(context);
  } catch (error) {
    // Whatever they were told to do may still be under way.
    await Promise.all(suite.pool.splice(0).map((worker) => worker.kill()));
    throw error;
  } finally {
    await context.end();
  }
}
