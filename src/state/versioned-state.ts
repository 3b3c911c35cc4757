import type {
  DeleteAnswer,
  DeleteOptions,
  HistoryAnswer,
  HistoryOptions,
  KeysAnswer,
  KeysOptions,
  Moment,
  PutAnswer,
  PutOptions,
  Which,
} from "../api.ts";
import { StateError } from "../errors.ts";
import type { Key } from "../key.ts";
import type { Entry, EntryInfo, Select, Store, StoredEntry, Transaction } from "../store.ts";
import type { Clock } from "../telemetry/clock.ts";
import type { Log } from "../telemetry/log.ts";
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
import { Writers } from "./writers.ts";

export interface StateOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Deadline of every call, from its start to its answer, in milliseconds. */
  readonly timeoutMs: number;
  readonly maxValueBytes: number;
}

const NO_KEYS: readonly Key[] = Object.freeze([]);
const NO_PUTS: Transaction["puts"] = Object.freeze([]);

/**
 * The engine over one store: checks input, gathers concurrent calls into batches, and answers each on
 * its own. Knows no HTTP and no database.
 */
export class VersionedState {
  readonly store: Store;
  readonly #options: StateOptions;
  readonly #readers: Readers;
  readonly #writers: Writers;

  constructor(store: Store, options: StateOptions) {
    this.store = store;
    this.#options = options;
    this.#readers = new Readers(store, options);
    this.#writers = new Writers(store, options);
  }

  /** Calls that wait for a batch, for metrics and admission. */
  get queued(): { readonly reads: number; readonly writes: number } {
    return { reads: this.#readers.queued, writes: this.#writers.queued };
  }

  async put(key: string, value: string | Uint8Array, options: PutOptions = {}): Promise<PutAnswer> {
    const checked = checkKey(key);
    const put = toPut(checked, { ...options, value }, this.#options.maxValueBytes);
    const conditions = toConditions(checked, options);
    const { contentType, author, message, digest } = put;
    const request =
      options.idempotencyKey === undefined
        ? undefined
        : toRequestId(options.idempotencyKey, ["put", key], {
            does: [digest, contentType, author, message, conditions],
          });
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
    return { key, incarnation, version, createdAt, digest, replayed };
  }

  async get(key: string, options?: { readonly at?: Moment }): Promise<Entry | undefined> {
    const select = options?.at === undefined ? "latest" : { asOf: checkMoment("at", options.at) };
    return this.#readEntry(checkKey(key), select);
  }

  async getVersion(key: string, version: number): Promise<Entry | undefined> {
    return this.#readEntry(checkKey(key), { version: checkVersion("version", version) });
  }

  async head(key: string, which?: Which): Promise<EntryInfo | undefined> {
    const select = which === undefined ? "latest" : toSelect("version", which);
    return this.#read(checkKey(key), select, false);
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
    return { versions: deletes[0]?.versions ?? 0 };
  }

  async history(key: string, options: HistoryOptions = {}): Promise<HistoryAnswer | undefined> {
    return historyPage(this.store, this.#readers, checkKey(key), options);
  }

  async keys(options: KeysOptions = {}): Promise<KeysAnswer> {
    return keysPage(this.store, this.#readers, options);
  }

  async close(): Promise<void> {
    await Promise.all([this.#readers.idle(), this.#writers.idle()]);
    await this.store.close();
  }

  async #read(key: Key, select: Select, value: boolean): Promise<StoredEntry | undefined> {
    const found = await this.#readers.read({ key, select, value });
    if (found !== "trimmed") return found;
    throw new StateError(
      "version_trimmed",
      "This version was removed by the retention policy of the server.",
    );
  }

  async #readEntry(key: Key, select: Select): Promise<Entry | undefined> {
    const found = await this.#read(key, select, true);
    if (found !== undefined && found.value === undefined) {
      throw brokenStore("a read of a value answered none");
    }
    return found as Entry | undefined;
  }
}

function brokenStore(what: string): StateError {
  return new StateError("internal", `The store broke its contract: ${what}.`);
}
