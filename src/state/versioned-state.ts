import type {
  DeleteAnswer,
  DeleteOptions,
  DiffAnswer,
  DiffOptions,
  HistoryAnswer,
  HistoryOptions,
  KeysAnswer,
  KeysOptions,
  Moment,
  PutAnswer,
  PutOptions,
  RestoreOptions,
  RestorePrefixAnswer,
  RestorePrefixOptions,
  StateApi,
  TransactAnswer,
  TransactRequest,
  WatchEvent,
  WatchOptions,
  WatchPrefixOptions,
  Which,
} from "../api.ts";
import { StateError } from "../errors.ts";
import type { Key } from "../key.ts";
import type {
  Condition,
  Entry,
  EntryInfo,
  Put,
  ReadResult,
  RequestId,
  Select,
  Store,
  StoredEntry,
  Transaction,
} from "../store.ts";
import type { Clock } from "../telemetry/clock.ts";
import type { Log } from "../telemetry/log.ts";
import { Differ } from "./diff/diff.ts";
import { ownValue, withOwnValue } from "./entry.ts";
import { Housekeeping } from "./housekeeping.ts";
import {
  checkKey,
  checkMoment,
  checkVersion,
  newIncarnation,
  toConditions,
  toPut,
  toRequestId,
  toSelect,
} from "./input.ts";
import { historyPage, keysPage } from "./pages.ts";
import { Readers } from "./readers.ts";
import { restorePrefix, restoredMetadata } from "./restore.ts";
import { Retention, type RetentionRule } from "./retention.ts";
import { toTransaction, toTransactAnswer, withOwnValues } from "./transact.ts";
import { Details } from "./watch/details.ts";
import { Hub } from "./watch/hub.ts";
import { KeyWatch } from "./watch/watch-key.ts";
import { watchPrefix, type WatchParts } from "./watch/watch-prefix.ts";
import { Writers } from "./writers.ts";

export interface StateOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Deadline of every call, from its start to its answer, in milliseconds. */
  readonly timeoutMs: number;
  readonly maxValueBytes: number;
  /**
   * Spares copies of values, for a server: nobody changes bytes that were passed to a call or that
   * a call answered. Without it, callers may do with both as they like.
   */
  readonly sharesBytes?: boolean;
  /** How far back the feed can be resumed, in milliseconds. */
  readonly feedRetentionMs: number;
  /** What to remove of old versions; nothing where empty. */
  readonly retention: readonly RetentionRule[];
}

/** Numbers for metrics. */
export interface StateStats {
  readonly queuedReads: number;
  readonly queuedWrites: number;
  readonly watchers: number;
  /** Versions that the feed should have brought and did not; must stay 0. */
  readonly missedChanges: number;
  readonly trimmedVersions: number;
}

const NO_KEYS: readonly Key[] = Object.freeze([]);
const NO_PUTS: Transaction["puts"] = Object.freeze([]);

/** A delete of more versions than this asks for the store's housekeeping at once. */
const BIG_DELETE_VERSIONS = 100;

/**
 * The engine over one store: checks input, gathers concurrent calls into batches, and answers each on
 * its own. Knows no HTTP and no database.
 */
export class VersionedState implements StateApi {
  readonly store: Store;
  readonly #options: StateOptions;
  readonly #readers: Readers;
  readonly #writers: Writers;
  readonly #differ: Differ;
  readonly #watch: WatchParts;
  readonly #retention: Retention;
  readonly #housekeeping: Housekeeping;
  readonly #shares: boolean;

  constructor(store: Store, options: StateOptions) {
    const { clock, log, feedRetentionMs } = options;
    this.store = store;
    this.#options = options;
    this.#shares = options.sharesBytes === true;
    this.#readers = new Readers(store, options);
    this.#writers = new Writers(store, options);
    this.#differ = new Differ(options.timeoutMs, clock);
    this.#watch = { store, hub: new Hub(store, log), details: new Details(this.#readers) };
    this.#retention = new Retention(store, options.retention, clock);
    this.#housekeeping = new Housekeeping({
      store,
      retention: this.#retention,
      log,
      feedRetentionMs,
      monotonic: () => clock.monotonic(),
    });
  }

  get stats(): StateStats {
    return {
      queuedReads: this.#readers.queued,
      queuedWrites: this.#writers.queued,
      watchers: this.#watch.hub.readers,
      missedChanges: this.#watch.hub.missed,
      trimmedVersions: this.#retention.removed,
    };
  }

  async put(key: string, value: string | Uint8Array, options: PutOptions = {}): Promise<PutAnswer> {
    const checked = checkKey(key);
    const input = { ...options, value: this.#shares ? value : ownValue(value) };
    const put = toPut(checked, input, this.#options.maxValueBytes);
    const conditions = toConditions(checked, options);
    let request: RequestId | undefined;
    if (options.idempotencyKey !== undefined) {
      const { value: _, ...metadata } = put;
      request = toRequestId(options.idempotencyKey, ["put", key], [metadata, conditions]);
    }
    return await this.#putOne(put, conditions, request);
  }

  async #putOne(
    put: Put,
    conditions: readonly Condition[],
    request: RequestId | undefined,
  ): Promise<PutAnswer> {
    const { puts, replayed } = await this.#writers.commit({
      request,
      incarnation: newIncarnation(),
      conditions,
      puts: [put],
      deletes: NO_KEYS,
      reads: NO_KEYS,
    });
    const [result] = puts;
    if (result === undefined) throw brokenStore("a commit of one put answered none");
    const { incarnation, version, createdAt } = result;
    this.#retention.noteVersion(put.key, version);
    return { key: put.key, incarnation, version, createdAt, digest: put.digest, replayed };
  }

  async get(key: string, options?: { readonly at?: Moment }): Promise<Entry | undefined> {
    const select = options?.at === undefined ? "latest" : { asOf: checkMoment("at", options.at) };
    return toEntry(await this.#readers.read({ key: checkKey(key), select, value: true }));
  }

  async getVersion(key: string, version: number): Promise<Entry | undefined> {
    const select = { version: checkVersion("version", version) };
    return toEntry(await this.#readers.read({ key: checkKey(key), select, value: true }));
  }

  async head(key: string, which?: Which): Promise<EntryInfo | undefined> {
    const select = which === undefined ? "latest" : toSelect("version", which);
    return kept(await this.#readers.read({ key: checkKey(key), select, value: false }));
  }

  async delete(key: string, options: DeleteOptions = {}): Promise<DeleteAnswer> {
    const checked = checkKey(key);
    const { deletes } = await this.#writers.commit({
      request: undefined,
      incarnation: newIncarnation(),
      conditions: toConditions(checked, options),
      puts: NO_PUTS,
      deletes: [checked],
      reads: NO_KEYS,
    });
    const versions = deletes[0]?.versions ?? 0;
    if (versions > BIG_DELETE_VERSIONS) this.#housekeeping.hurry();
    return { versions };
  }

  async history(key: string, options: HistoryOptions = {}): Promise<HistoryAnswer | undefined> {
    return historyPage(this.store, this.#readers, checkKey(key), options);
  }

  async keys(options: KeysOptions = {}): Promise<KeysAnswer> {
    return keysPage(this.store, this.#readers, options);
  }

  async diff(key: string, options: DiffOptions): Promise<DiffAnswer | undefined> {
    const checked = checkKey(key);
    const selects: readonly Select[] = [
      toSelect("from", options.from),
      options.to === undefined ? "latest" : toSelect("to", options.to),
    ];
    const reads = await Promise.all(
      selects.map((select) => this.#readers.read({ key: checked, select, value: true })),
    );
    const [from, to] = reads.map(toEntry);
    if (from === undefined || to === undefined) return undefined;
    return this.#differ.diff(key, [from, to], options);
  }

  async restore(key: string, options: RestoreOptions): Promise<PutAnswer | undefined> {
    const checked = checkKey(key);
    const { idempotencyKey, ...does } = options;
    const request = toRequestId(idempotencyKey, ["restore", key], does);
    const select = toSelect("from", options.from);
    const source = await this.#readers.read({ key: checked, select, value: true });
    if (source === undefined || source === "trimmed") {
      const earlier = request && (await this.#recallPut(checked, request));
      if (earlier !== undefined) return this.#asWritten(earlier, "");
      kept(source);
      return undefined;
    }
    const entry = withValue(source);
    const { contentType, author, message } = restoredMetadata(entry, options);
    const input = {
      value: entry.value,
      ...(contentType === undefined ? {} : { contentType }),
      ...(author === undefined ? {} : { author }),
      ...(message === undefined ? {} : { message }),
    };
    const put = toPut(checked, input, this.#options.maxValueBytes);
    // A key deleted since must not come back by this: nothing of it remains.
    const conditions = [
      ...toConditions(checked, options),
      { kind: "present", key: checked } as const,
    ];
    const answer = await this.#putOne(put, conditions, request);
    if (!answer.replayed) return answer;
    // What the source is now may not be what it was: the key may have been deleted and put again.
    const isSource = "version" in options.from && entry.incarnation === answer.incarnation;
    return this.#asWritten(answer, isSource ? put.digest : "");
  }

  /** The outcome of an earlier request that put this key; undefined where there was none. */
  async #recallPut(key: Key, request: RequestId): Promise<PutAnswer | undefined> {
    const put = toPut(key, { value: "" }, this.#options.maxValueBytes);
    // Never met together, so that nothing is written where the request is not remembered.
    const conditions = [{ kind: "present", key } as const, { kind: "absent", key } as const];
    try {
      return await this.#putOne(put, conditions, request);
    } catch (error) {
      if (error instanceof StateError && error.code === "condition_failed") return undefined;
      throw error;
    }
  }

  /** An earlier answer with the digest of what it wrote, which stores do not remember with it. */
  async #asWritten(answer: PutAnswer, otherwise: string): Promise<PutAnswer> {
    const { key, version, incarnation } = answer;
    const select = { version };
    const found = await this.#readers.read({ key: checkKey(key), select, value: false });
    const isThere = found !== undefined && found !== "trimmed" && found.incarnation === incarnation;
    return { ...answer, digest: isThere ? found.digest : otherwise };
  }

  async restorePrefix(options: RestorePrefixOptions): Promise<RestorePrefixAnswer> {
    const infoAt = (key: string, at: number): Promise<ReadResult> =>
      this.#readers.read({ key: checkKey(key), select: { asOf: at }, value: false });
    return restorePrefix({ state: this, infoAt }, options);
  }

  async transact(request: TransactRequest): Promise<TransactAnswer> {
    const own = this.#shares ? request : withOwnValues(request);
    const transaction = toTransaction(own, this.#options.maxValueBytes);
    const outcome = await this.#writers.commit(transaction);
    transaction.puts.forEach(({ key }, index) =>
      this.#retention.noteVersion(key, outcome.puts[index]?.version ?? 0),
    );
    const reads = this.#shares ? outcome.reads : outcome.reads.map(withOwnValue);
    return toTransactAnswer(transaction, { ...outcome, reads });
  }

  watch(key: string, options: WatchOptions = {}): AsyncIterable<WatchEvent> {
    const watch = new KeyWatch(this.#watch, this.#readers, checkKey(key), options);
    return watch.events(options.signal);
  }

  watchPrefix(options: WatchPrefixOptions): AsyncIterable<WatchEvent> {
    return watchPrefix(this.#watch, options);
  }

  async close(): Promise<void> {
    this.#watch.hub.close();
    await this.#housekeeping.stop();
    await Promise.all([this.#readers.idle(), this.#writers.idle()]);
    await this.store.close();
  }
}

function toEntry(read: ReadResult): Entry | undefined {
  const found = kept(read);
  return found && withValue(found);
}

function withValue(found: StoredEntry): Entry {
  if (found.value === undefined) throw brokenStore("a read of a value answered none");
  return found as Entry;
}

function kept(found: ReadResult): StoredEntry | undefined {
  if (found !== "trimmed") return found;
  throw new StateError(
    "version_trimmed",
    "This version was removed by the retention policy of the server.",
  );
}

function brokenStore(what: string): StateError {
  return new StateError("internal", `The store broke its contract: ${what}.`);
}
