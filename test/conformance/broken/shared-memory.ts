import { setImmediate as turn } from "node:timers/promises";
import { TASKS, type TaskName, type Written } from "../../../src/conformance/tasks.ts";
import type { Open } from "../../../src/conformance/facts.ts";
import type { StartWorker, WorkerProcess } from "../../../src/conformance/workers.ts";
import { storeOptions } from "../../../src/conformance/context.ts";
import type { Key } from "../../../src/key.ts";
import type {
  ChangeBatch,
  Cursor,
  EntryInfo,
  HistoryPage,
  KeyInfo,
  KeysPage,
  Outcome,
  Query,
  ReadResult,
  Store,
  StoreInfo,
  StoreOptions,
  Transaction,
} from "../../../src/store.ts";
import { open as openMemory } from "../../../src/stores/memory/store.ts";
import { closedError } from "../../../src/stores/shared/closed.ts";
import { systemClock, type Clock } from "../../../src/telemetry/clock.ts";

/** A memory store that several instances share, as they would share a back end. */
interface Backend {
  store: Store;
  clock: Clock;
}

/** Back ends by URL, which live as long as this object. */
export class SharedMemory {
  readonly #backends = new Map<string, Promise<Backend>>();
  #urls = 0;

  newUrl(): string {
    this.#urls += 1;
    return `shared-memory:${this.#urls}`;
  }

  readonly open: Open = async (url, options) => {
    const backend = await this.#backend(url);
    return new SharedMemoryStore(backend, options);
  };

  #backend(url: string): Promise<Backend> {
    const backend = this.#backends.get(url) ?? newBackend();
    this.#backends.set(url, backend);
    return backend;
  }
}

/** A back end whose clock is that of whoever calls. */
async function newBackend(): Promise<Backend> {
  const backend: Partial<Backend> = { clock: systemClock };
  const clock: Clock = {
    now: () => backend.clock?.now() ?? 0,
    monotonic: () => systemClock.monotonic(),
  };
  backend.store = await openMemory("memory:", storeOptions(clock));
  return backend as Backend;
}

/** One instance over a back end. Each call takes a turn of the event loop, so that calls interleave. */
class SharedMemoryStore implements Store {
  readonly #backend: Backend;
  readonly #options: StoreOptions;
  readonly #closing = new AbortController();
  readonly #calls = new Set<Promise<unknown>>();

  constructor(backend: Backend, options: StoreOptions) {
    this.#backend = backend;
    this.#options = options;
  }

  get info(): StoreInfo {
    return { ...this.#backend.store.info, shared: true };
  }

  read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    return this.#call(async (store) => (await store.read(queries)).map(copyOf));
  }

  commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    return this.#call((store) => store.commit(transactions));
  }

  history(key: Key, page: HistoryPage): Promise<readonly EntryInfo[]> {
    return this.#call((store) => store.history(key, page));
  }

  keys(page: KeysPage): Promise<readonly KeyInfo[]> {
    return this.#call((store) => store.keys(page));
  }

  changes(after: Cursor | "now", signal: AbortSignal): AsyncIterable<ChangeBatch> {
    if (this.#closing.signal.aborted) throw closedError();
    return this.#backend.store.changes(after, AbortSignal.any([signal, this.#closing.signal]));
  }

  trim(key: Key, incarnation: string, keepFrom: number, limit: number): Promise<number> {
    return this.#call((store) => store.trim(key, incarnation, keepFrom, limit));
  }

  maintain(options: { readonly feedRetentionMs: number }): Promise<boolean> {
    return this.#call((store) => store.maintain(options));
  }

  ping(): Promise<void> {
    return this.#call((store) => store.ping());
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#calls);
  }

  #call<Result>(work: (store: Store) => Promise<Result>): Promise<Result> {
    const calling = this.#work(work);
    this.#calls.add(calling);
    const done = (): boolean => this.#calls.delete(calling);
    calling.then(done, done);
    return calling;
  }

  async #work<Result>(work: (store: Store) => Promise<Result>): Promise<Result> {
    if (this.#closing.signal.aborted) throw closedError();
    await turn();
    this.#backend.clock = this.#options.clock;
    return work(this.#backend.store);
  }
}

/** Readers get bytes of their own, as from a connection. */
function copyOf(result: ReadResult): ReadResult {
  if (result === undefined || result === "trimmed" || result.value === undefined) return result;
  return { ...result, value: result.value.slice() };
}

/**
 * Starts workers that are no processes, for a store that lives in this one. A killed worker's calls
 * never answer again.
 */
export function localStarter(open: Open): StartWorker {
  return async (url) => new LocalWorker(await open(url, storeOptions(systemClock)));
}

type AnyTask = (store: Store, task: unknown, note: (note: Written) => void) => Promise<unknown>;

class LocalWorker implements WorkerProcess {
  readonly #store: Store;
  readonly #killed = Promise.withResolvers<never>();

  constructor(store: Store) {
    this.#store = store;
    this.#killed.promise.catch(() => {});
  }

  readonly run: WorkerProcess["run"] = async (name: TaskName, task, onNote = () => {}) => {
    const running = (TASKS[name] as AnyTask)(this.#store, task, onNote);
    running.catch(() => {});
    return Promise.race([running, this.#killed.promise]) as Promise<never>;
  };

  async kill(): Promise<void> {
    this.#killed.reject(new Error("the worker was killed"));
    await this.#store.close();
  }

  async stop(): Promise<void> {
    await this.#store.close();
  }
}
