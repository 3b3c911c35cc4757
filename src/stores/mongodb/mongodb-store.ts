import { Calls } from "../../calls.ts";
import type { StateError } from "../../errors.ts";
import type { Key } from "../../key.ts";
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
} from "../../store.ts";
import { closedError } from "../shared/closed.ts";
import { classify } from "./classify.ts";
import { KeyCommitter } from "./commit-keys.ts";
import { connect, type Connected } from "./connect.ts";
import type { Database } from "./database.ts";
import { Deadline, settleWithin } from "./deadline.ts";
import { FailureLog } from "../shared/failure-log.ts";
import { Feed, unsupported } from "./feed.ts";
import { KeyReader } from "./keys.ts";
import { readHistory } from "./list.ts";
import { NewestWrite } from "./newest-write.ts";
import { parseMongodbUrl, type MongodbOptions } from "./options.ts";
import { OtherWriters } from "./other-writers.ts";
import { ReadCache } from "./read-cache.ts";
import { EntryReader } from "./read.ts";
import type { ServerFacts } from "./settings.ts";
import { StateCache } from "./state-cache.ts";
import { Sweep } from "./sweep.ts";
import { Transactor } from "./transact.ts";
import { trimKey } from "./trim.ts";
import { toWaves } from "./waves.ts";

export async function openMongodb(url: string, options: StoreOptions): Promise<Store> {
  const parsed = parseMongodbUrl(url);
  return new MongodbStore(await connect(parsed, options), parsed, options);
}

/** Of a transaction that names no key. */
const NOTHING_DONE: Outcome = {
  outcome: "committed",
  replayed: false,
  puts: [],
  deletes: [],
  reads: [],
};

/** Keeps a log of segments per key in one collection; see `SegmentDocument`. */
class MongodbStore implements Store {
  readonly info: StoreInfo;
  readonly #database: Database;
  readonly #options: StoreOptions;
  readonly #readConcern: MongodbOptions["readConcern"];
  readonly #committer: KeyCommitter;
  readonly #transactor: Transactor;
  readonly #sweep: Sweep;
  readonly #feed: Feed;
  readonly #reader: EntryReader;
  readonly #keyReader: KeyReader;
  readonly #failures: FailureLog;
  readonly #closing = new AbortController();
  readonly #calls = new Calls();

  constructor({ database, facts }: Connected, parsed: MongodbOptions, options: StoreOptions) {
    const { clock, log, timeoutMs } = options;
    const states = new StateCache(clock);
    const entries = new ReadCache(clock);
    const others = new OtherWriters(database, states, clock);
    this.info = toInfo(parsed.scheme, facts);
    this.#database = database;
    this.#options = options;
    this.#readConcern = parsed.readConcern;
    this.#committer = new KeyCommitter(database, { states, entries, others }, clock);
    this.#transactor = new Transactor(database, states, clock);
    // Only a replica set's primary can tell that nothing has been written.
    const isReplicaSet = facts.topology === "replica-set";
    const newestWrite = isReplicaSet ? new NewestWrite(database) : undefined;
    this.#reader = new EntryReader(database, entries, { clock, newestWrite });
    this.#keyReader = new KeyReader(database, this.#reader.heads, clock);
    this.#sweep = new Sweep(database, clock, timeoutMs);
    this.#feed = new Feed(database, clock, timeoutMs);
    this.#failures = new FailureLog("MongoDB", { log, clock });
  }

  read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    return this.#readCall((deadline) => this.#reader.read(queries, deadline));
  }

  commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    return this.#call(
      (deadline) => this.#commit(transactions, deadline),
      (outcomes) => this.#noteOutcomes(outcomes),
    );
  }

  history(key: Key, page: HistoryPage): Promise<readonly EntryInfo[]> {
    return this.#readCall((deadline) => readHistory(this.#database, key, page, deadline));
  }

  keys(page: KeysPage): Promise<readonly KeyInfo[]> {
    return this.#readCall((deadline) => this.#keyReader.read(page, deadline));
  }

  changes(after: Cursor | "now", signal: AbortSignal): AsyncIterable<ChangeBatch> {
    if (this.#closing.signal.aborted) throw closedError();
    if (this.info.watch === "none") throw unsupported();
    return this.#feed.follow(after, AbortSignal.any([signal, this.#closing.signal]));
  }

  trim(key: Key, incarnation: string, keepFrom: number, limit: number): Promise<number> {
    const range = { key, incarnation, keepFrom, limit };
    return this.#call((deadline) => trimKey(this.#database, range, deadline));
  }

  maintain({ feedRetentionMs }: { readonly feedRetentionMs: number }): Promise<boolean> {
    // Request ids past their time are cleared by an index of MongoDB.
    return this.#call(async (deadline) => {
      if (this.info.watch !== "none") await this.#feed.retain(feedRetentionMs);
      return this.#sweep.step(deadline);
    });
  }

  ping(): Promise<void> {
    return this.#call(async (deadline) => {
      await this.#database.command({ ping: 1 }, deadline);
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#calls.idle();
    const { timeoutMs } = this.#options;
    await settleWithin(timeoutMs, () => this.#database.client.close(true)).catch(() => {});
  }

  async #commit(
    transactions: readonly Transaction[],
    deadline: Deadline,
  ): Promise<readonly Outcome[]> {
    const outcomes = transactions.map((): Outcome => NOTHING_DONE);
    for (const { single, several } of toWaves(transactions)) {
      const [answers] = await Promise.all([
        this.#committer.commit(single, deadline),
        ...several.map(async ({ index, transaction }) => {
          outcomes[index] = await this.#commitSeveral(transaction, deadline);
        }),
      ]);
      for (const { index, outcome } of answers) outcomes[index] = outcome;
    }
    return outcomes;
  }

  async #commitSeveral(transaction: Transaction, deadline: Deadline): Promise<Outcome> {
    if (this.info.transactions === "one-key") return { outcome: "unsupported" };
    return this.#transactor.run(transaction, deadline);
  }

  #noteOutcomes(outcomes: readonly Outcome[]): void {
    const failed = outcomes.find((outcome) => outcome.outcome === "failed");
    if (failed === undefined) this.#failures.succeeded();
    else this.#failures.failed(failed.error);
  }

  #readCall<T>(run: (deadline: Deadline) => Promise<T>): Promise<T> {
    if (this.#readConcern !== "linearizable") return this.#call(run);
    return this.#call((deadline) =>
      this.#database.steadily(deadline, async () => {
        const result = await run(deadline);
        await confirmPrimary(this.#database, deadline);
        return result;
      }),
    );
  }

  /** Gives a call its deadline, and makes its failure one that callers know. */
  async #call<T>(
    run: (deadline: Deadline) => Promise<T>,
    note: (result: T) => void = () => this.#failures.succeeded(),
  ): Promise<T> {
    if (this.#closing.signal.aborted) throw closedError();
    const deadline = new Deadline(this.#options.clock, this.#options.timeoutMs);
    try {
      const result = await this.#calls.run(() => run(deadline));
      note(result);
      return result;
    } catch (error) {
      const failure: StateError = classify(error, "no");
      this.#failures.failed(failure);
      throw failure;
    }
  }
}

/**
 * Asks a majority whether the primary that has just answered still is one. A primary that has been cut
 * off from the others may not know yet that they have elected another.
 */
async function confirmPrimary(database: Database, deadline: Deadline): Promise<void> {
  await database.read(
    {
      find: database.names.meta,
      filter: { _id: "schema" },
      limit: 1,
      readConcern: { level: "linearizable" },
      maxTimeMS: Math.max(1, Math.ceil(deadline.remainingMs())),
    },
    deadline,
  );
}

function toInfo(scheme: string, facts: ServerFacts): StoreInfo {
  const isAlone = facts.topology === "standalone";
  return {
    scheme,
    product: `MongoDB ${facts.version}`,
    promise: facts.promise,
    settings: facts.settings,
    // A commit costs MongoDB far more than each document in it: one large batch beats two small ones.
    writeLanes: 1,
    readLanes: 1,
    transactions: isAlone ? "one-key" : "any-keys",
    watch: isAlone ? "none" : "push",
    shared: true,
  };
}
