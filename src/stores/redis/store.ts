import { setTimeout as sleep } from "node:timers/promises";
import { StateError } from "../../errors.ts";
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
import { BlockingBell, PollingBell, Ringer, type Bell } from "./bell.ts";
import { classify, outcomeUnknown, unanswered } from "./classify.ts";
import { Committer } from "./committer.ts";
import type { ConnectionOptions } from "./connection.ts";
import { Executor } from "./executor.ts";
import { Feed } from "./feed.ts";
import { Keeper } from "./keeper.ts";
import { Lister } from "./lister.ts";
import { parseRedisUrl } from "./options.ts";
import { Reader } from "./reader.ts";
import { Replicas } from "./replicas.ts";
import { readFacts, survey } from "./settings.ts";
import { assertUsable, setUp } from "./setup.ts";
import { Topology } from "./topology.ts";

/**
 * Batches in flight. Redis runs one script at a time and flushes after each, so that two lanes of
 * writes would only halve the batches; the scripts of several partitions may run on several nodes.
 */
const WRITE_LANES_ALONE = 1;
const WRITE_LANES_PARTITIONED = 2;
const READ_LANES = 2;

const OPEN_RETRY_DELAY_MS = 100;

/** Opens a state in Redis: one server, one behind Sentinel, or a cluster. */
export async function open(url: string, options: StoreOptions): Promise<Store> {
  const connection: ConnectionOptions = { redis: parseRedisUrl(url), store: options };
  const deadline = options.clock.monotonic() + options.connectTimeoutMs;
  for (;;) {
    const topology = new Topology(connection);
    try {
      return await RedisStore.open(connection, topology, deadline);
    } catch (error) {
      topology.close();
      if (!(error instanceof StateError) || error.code !== "store_unavailable") throw error;
      const hasTime = options.clock.monotonic() + OPEN_RETRY_DELAY_MS < deadline;
      // What Redis itself said, such as that it is loading its data, says more.
      if (!hasTime && classify(error.cause).kind === "refused") throw error;
      if (!hasTime) throw unreachable(options.connectTimeoutMs, error);
      await sleep(OPEN_RETRY_DELAY_MS);
    }
  }
}

/** Only the code of the cause is shown: its message may hold the address. */
function unreachable(waitedMs: number, error: StateError): StateError {
  const cause = error.cause ?? error;
  const code = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
  const isCertificate = /CERT|SIGNATURE|TLS/.test(code);
  const reason = isCertificate
    ? `Redis's certificate was not accepted${code}. Name its authority's file with ca= in the store's URL.`
    : `Redis did not answer within ${waitedMs / 1000} s${code}. Check that it runs where the store's ` +
      "URL says.";
  return new StateError("store_unavailable", reason, { cause });
}

/** The parts that a store is made of. */
interface Parts {
  readonly topology: Topology;
  readonly executor: Executor;
  readonly committer: Committer;
  readonly reader: Reader;
  readonly lister: Lister;
  readonly keeper: Keeper;
  readonly feed: Feed;
  readonly ringer: Ringer;
}

class RedisStore implements Store {
  readonly info: StoreInfo;
  readonly #parts: Parts;
  readonly #options: StoreOptions;
  readonly #closing = new AbortController();
  #underWay = 0;
  /** Resolved once it is closing and the last call has ended. */
  readonly #idle = Promise.withResolvers<void>();

  private constructor(info: StoreInfo, parts: Parts, options: StoreOptions) {
    this.info = info;
    this.#parts = parts;
    this.#options = options;
  }

  static async open(
    connection: ConnectionOptions,
    topology: Topology,
    deadline: number,
  ): Promise<RedisStore> {
    const { redis, store: options } = connection;
    await topology.connect(deadline);
    const servers = await Promise.all(topology.nodes.map(({ read }) => readFacts(read)));
    assertUsable(servers, redis);
    const { clock } = options;
    const executor = new Executor(topology, clock);
    const partitions = await setUp(executor, redis, deadline);
    const replicas = new Replicas(redis.replicas, clock);
    const ringer = new Ringer();
    const [only] = partitions;
    const isPushed = partitions.length === 1 && only !== undefined;
    const makeBell = (): Bell =>
      isPushed ? new BlockingBell(connection, topology, only) : new PollingBell(ringer);
    const { timeoutMs } = options;
    const parts: Parts = {
      topology,
      executor,
      committer: new Committer({ executor, partitions, replicas, clock }),
      reader: new Reader(executor, partitions),
      lister: new Lister(executor, partitions),
      keeper: new Keeper(executor, partitions, clock),
      feed: new Feed({ executor, partitions, makeBell, clock, timeoutMs }),
      ringer,
    };
    const info: StoreInfo = {
      scheme: redis.scheme,
      ...survey(servers, redis),
      writeLanes: partitions.length === 1 ? WRITE_LANES_ALONE : WRITE_LANES_PARTITIONED,
      readLanes: READ_LANES,
      transactions: isPushed ? "any-keys" : "one-tag",
      watch: isPushed ? "push" : "poll",
      shared: true,
    };
    return new RedisStore(info, parts, options);
  }

  read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    return this.#call(unanswered, (deadline) => this.#parts.reader.read(queries, deadline));
  }

  commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    return this.#call(outcomeUnknown, async (deadline) => {
      const outcomes = await this.#parts.committer.commit(transactions, deadline);
      this.#parts.ringer.ring();
      return outcomes;
    });
  }

  history(key: Key, page: HistoryPage): Promise<readonly EntryInfo[]> {
    return this.#call(unanswered, (deadline) => this.#parts.reader.history(key, page, deadline));
  }

  keys(page: KeysPage): Promise<readonly KeyInfo[]> {
    return this.#call(unanswered, (deadline) => this.#parts.lister.keys(page, deadline));
  }

  changes(after: Cursor | "now", signal: AbortSignal): AsyncIterable<ChangeBatch> {
    if (this.#closing.signal.aborted) throw closedError();
    return this.#parts.feed.follow(after, AbortSignal.any([signal, this.#closing.signal]));
  }

  trim(key: Key, incarnation: string, keepFrom: number, limit: number): Promise<number> {
    const request = { incarnation, keepFrom, limit };
    return this.#call(outcomeUnknown, (deadline) =>
      this.#parts.keeper.trim(key, request, deadline),
    );
  }

  maintain({ feedRetentionMs }: { readonly feedRetentionMs: number }): Promise<boolean> {
    return this.#call(outcomeUnknown, (deadline) =>
      this.#parts.keeper.trimFeed(feedRetentionMs, deadline),
    );
  }

  ping(): Promise<void> {
    return this.#call(unanswered, () => this.#parts.topology.ping());
  }

  async close(): Promise<void> {
    this.#closing.abort();
    if (this.#underWay > 0) await this.#idle.promise;
    this.#parts.topology.close();
  }

  /** Makes a call that is answered by its deadline, whatever becomes of the work. */
  #call<Result>(
    late: (cause: unknown) => StateError,
    work: (deadline: number) => Promise<Result>,
  ): Promise<Result> {
    if (this.#closing.signal.aborted) return Promise.reject(closedError());
    const { timeoutMs, clock } = this.#options;
    this.#underWay += 1;
    return new Promise<Result>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(late(new Error(`no answer within ${timeoutMs} ms`))),
        timeoutMs,
      );
      work(clock.monotonic() + timeoutMs)
        .then(resolve, reject)
        .finally(() => {
          clearTimeout(timer);
          this.#underWay -= 1;
          if (this.#underWay === 0 && this.#closing.signal.aborted) this.#idle.resolve();
        });
    });
  }
}
