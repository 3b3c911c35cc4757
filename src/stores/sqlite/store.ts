import { setTimeout as sleep } from "node:timers/promises";

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
import { classify, isBusy } from "./classify.ts";
import { Feed } from "./feed.ts";
import { prepareFile } from "./file-system.ts";
import { describe } from "./info.ts";
import { parseUrl } from "./options.ts";
import { Reader } from "./reader.ts";
import type { Job } from "./protocol.ts";
import { packTransactions, unpackOutcomes } from "./wire.ts";
import { Writer } from "./writer.ts";

/** Between two tries of a read that found the file locked, in milliseconds. */
const READ_RETRY_MS = 5;

/** Opens the file of a `sqlite:<file>` URL, and creates it and its folder where they do not exist. */
export async function open(url: string, options: StoreOptions): Promise<Store> {
  const { file } = parseUrl(url);
  await prepareFile(file);
  const { writer, facts } = await Writer.start({ ...options, file });
  try {
    const info = await describe(file, facts);
    return new SqliteStore(info, options, { writer, reader: new Reader(file) });
  } catch (error) {
    await writer.close();
    throw classify(error);
  }
}

interface Parts {
  readonly writer: Writer;
  readonly reader: Reader;
}

/**
 * Writes go to a thread of their own, since a commit waits for the disk. Reads are made here, on a
 * connection that sees the last commit and waits for none.
 */
class SqliteStore implements Store {
  readonly info: StoreInfo;
  readonly #options: StoreOptions;
  readonly #writer: Writer;
  readonly #reader: Reader;
  readonly #feed: Feed;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;

  constructor(info: StoreInfo, options: StoreOptions, { writer, reader }: Parts) {
    this.info = info;
    this.#options = options;
    this.#writer = writer;
    this.#reader = reader;
    this.#feed = new Feed(reader, this.#closing.signal, options.log);
  }

  async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    return this.#read(() => this.#reader.read(queries));
  }

  async commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    this.#assertOpen();
    const batch = packTransactions(transactions);
    const now = this.#options.clock.now();
    const answer = await this.#writer.call({ kind: "commit", batch, now }, [batch.bytes.buffer]);
    this.#feed.ring();
    if (typeof answer === "number") throw new Error("a commit is answered with a batch");
    return unpackOutcomes(answer);
  }

  async history(key: Key, page: HistoryPage): Promise<readonly EntryInfo[]> {
    return this.#read(() => this.#reader.history(key, page));
  }

  async keys(page: KeysPage): Promise<readonly KeyInfo[]> {
    return this.#read(() => this.#reader.keys(page));
  }

  changes(after: Cursor | "now", signal: AbortSignal): AsyncIterable<ChangeBatch> {
    this.#assertOpen();
    return this.#feed.follow(after, signal);
  }

  async trim(key: Key, incarnation: string, keepFrom: number, limit: number): Promise<number> {
    return this.#count({ kind: "trim", key, incarnation, keepFrom, limit });
  }

  async maintain(options: { readonly feedRetentionMs: number }): Promise<boolean> {
    const { feedRetentionMs } = options;
    const now = this.#options.clock.now();
    if (!(await this.#read(() => this.#reader.needsMaintenance(now, feedRetentionMs))))
      return false;
    return (await this.#count({ kind: "maintain", now, feedRetentionMs })) > 0;
  }

  async ping(): Promise<void> {
    await this.#read(() => this.#reader.dataVersion());
    await this.#count({ kind: "ping" });
  }

  async close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    // The writer's connection is to be the last, as a reader cannot clear up the write-ahead log.
    this.#reader.close();
    await this.#writer.close();
  }

  async #count(job: Job): Promise<number> {
    this.#assertOpen();
    const answer = await this.#writer.call(job);
    if (typeof answer !== "number") throw new Error(`${job.kind} is answered with a count`);
    return answer;
  }

  /**
   * A read finds the file locked only in the moment in which another process recovers it after a
   * crash; it then tries again until the deadline.
   */
  async #read<Result>(work: () => Result): Promise<Result> {
    const deadline = this.#options.clock.monotonic() + this.#options.timeoutMs;
    for (;;) {
      this.#assertOpen();
      try {
        return work();
      } catch (error) {
        if (!isBusy(error) || this.#options.clock.monotonic() > deadline) throw classify(error);
      }
      await sleep(READ_RETRY_MS);
    }
  }

  #assertOpen(): void {
    if (this.#closing.signal.aborted) throw closedError();
  }
}
