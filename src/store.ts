import type { StateError } from "./errors.ts";
import type { Key } from "./key.ts";
import type { Clock } from "./telemetry/clock.ts";
import type { Log } from "./telemetry/log.ts";

/**
 * The contract between the engine (`state/`) and a back end (`stores/`). Read this file first.
 *
 * What every store promises, and the conformance suite checks:
 * 1. Versions of a key are 1…n without gap or repeat under any number of writers, processes and
 *    machines, and each returns exactly its bytes for ever.
 * 2. Each key is linearizable: once `commit` has answered, every later `read` anywhere sees it.
 * 3. A delete is atomic against puts. Nothing of the key is ever seen again, and its next put is
 *    version 1 of a new incarnation. Big histories are cleared later, by `maintain`.
 * 4. `commit` answers only when the write is as durable as `info.promise` says.
 * 5. A commit whose outcome is unknown is never applied twice: a store may retry it only under an
 *    id that it stored in the same atomic step.
 * 6. Every call settles within the deadline it was opened with (`StoreOptions.timeoutMs`). It then
 *    rejects with a {@link StateError} whose `applied` says whether a write may have happened.
 * 7. After `close`, every call rejects with `store_unavailable`.
 *
 * Batches are the unit. Each item is answered on its own; a rejected promise means that the whole
 * batch failed alike.
 */
export interface Store {
  readonly info: StoreInfo;

  /**
   * Reads many entries in as few round trips as the back end allows. Answers in the order asked.
   * A read sees every commit that was acknowledged before the call.
   */
  read(queries: readonly Query[]): Promise<readonly ReadResult[]>;

  /**
   * Commits many transactions. Each is atomic and takes effect as if alone, in the order given; one's
   * unmet condition touches no other. Answers in the order given.
   */
  commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]>;

  /** A page of a key's kept versions, without their values. Empty where the key does not exist. */
  history(key: Key, page: HistoryPage): Promise<readonly EntryInfo[]>;

  /** A page of existing keys in key order, with their latest version's metadata. */
  keys(page: KeysPage): Promise<readonly KeyInfo[]>;

  /**
   * Follows the feed from a cursor, or from now on. Yields a batch whenever there is something new,
   * and, once at the start, a batch with `caughtUp` (perhaps empty) when it has reached the present:
   * for `"now"` that is the first one, and empty. Ends when `signal` aborts. Survives a back end that
   * goes away and comes back, without missing or repeating. Throws `cursor_expired` where the feed no
   * longer reaches back to `after`, and `watch_unsupported` where `info.watch` is `"none"`.
   */
  changes(after: Cursor | "now", signal: AbortSignal): AsyncIterable<ChangeBatch>;

  /**
   * Removes up to `limit` of a key's oldest versions below `keepFrom`, and answers how many it
   * removed. Never removes the latest version. Does nothing where the key's incarnation has changed.
   * Removed versions then read as `"trimmed"`.
   */
  trim(key: Key, incarnation: string, keepFrom: number, limit: number): Promise<number>;

  /**
   * One small step of housekeeping: clearing what deletes left behind, request ids past their time,
   * the feed past `feedRetentionMs`. Bounded to a few milliseconds of the back end's time, safe to run
   * from several processes. Answers true while there is more to do now.
   */
  maintain(options: { readonly feedRetentionMs: number }): Promise<boolean>;

  /** Answers when the back end has answered; rejects with `store_unavailable` otherwise. */
  ping(): Promise<void>;

  /** Waits for calls under way, then lets go of every connection, thread and file. */
  close(): Promise<void>;
}

/** What a store is opened with, beside its own URL. */
export interface StoreOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Deadline of one call, in milliseconds. */
  readonly timeoutMs: number;
  /** How long `open` retries a back end that is away, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Spares copies: nobody writes into bytes that a call answered. */
  readonly sharesBytes?: boolean;
}

/** What a store is and promises. Fixed once it is open. */
export interface StoreInfo {
  /** The scheme of its URL, such as `sqlite`. */
  readonly scheme: string;
  /** Product and version, such as `SQLite 3.53.4`. */
  readonly product: string;
  /** One sentence: what an acknowledged write survives, as the back end is set up now. */
  readonly promise: string;
  /** The settings that `promise` was read from. */
  readonly settings: readonly Setting[];
  /** How many batches of writes are worth having in flight; a key always goes to the same lane. */
  readonly writeLanes: number;
  /** How many batches of reads are worth having in flight. */
  readonly readLanes: number;
  /**
   * Which keys one transaction may name: all (`any-keys`), one (`one-key`), or those whose part in
   * braces is the same, such as `{a}x` and `{a}y` (`one-tag`).
   */
  readonly transactions: "any-keys" | "one-tag" | "one-key";
  /** Whether `changes` is pushed, polled or not to be had. */
  readonly watch: "push" | "poll" | "none";
  /** Whether several processes can share it. */
  readonly shared: boolean;
}

/** A back end's setting that decides what survives. */
export interface Setting {
  readonly name: string;
  readonly value: string;
  readonly verdict: "ok" | "weak" | "unknown";
  /** Where not `ok`: what can be lost, and what to set. */
  readonly advice?: string;
}

/** Names one entry of a key for ever. Versions alone do not: they start over after a delete. */
export interface EntryRef {
  readonly incarnation: string;
  readonly version: number;
}

/** One version of one key, without its value. */
export interface EntryInfo extends EntryRef {
  /** Milliseconds since 1970; never before the key's previous version. */
  readonly createdAt: number;
  /** Bytes of the value. */
  readonly size: number;
  /** SHA-256 of the value, 64 lower-case hexadecimal digits. */
  readonly digest: string;
  /** As it was sent with the put; undefined where nothing useful was sent. */
  readonly contentType: string | undefined;
  readonly author: string | undefined;
  readonly message: string | undefined;
}

export interface Entry extends EntryInfo {
  readonly value: Uint8Array;
}

/** Names every member: leaving one out of a copy of the others takes five times as long. */
export function withoutValue(entry: Entry): EntryInfo {
  return {
    incarnation: entry.incarnation,
    version: entry.version,
    createdAt: entry.createdAt,
    size: entry.size,
    digest: entry.digest,
    contentType: entry.contentType,
    author: entry.author,
    message: entry.message,
  };
}

/** An entry as a query asked for it: `value` is undefined where the query said `value: false`. */
export interface StoredEntry extends EntryInfo {
  readonly value: Uint8Array | undefined;
}

export interface Query {
  readonly key: Key;
  readonly select: Select;
  readonly value: boolean;
}

/**
 * Which version: the latest, one by number, or the one that was the latest at a moment (milliseconds
 * since 1970; an entry made in that very millisecond counts).
 */
export type Select = "latest" | { readonly version: number } | { readonly asOf: number };

/** `"trimmed"`: there was such a version in this incarnation, and retention has removed it. */
export type ReadResult = StoredEntry | "trimmed" | undefined;

/**
 * Conditions, writes and reads that take effect together or not at all. A key stands at most once
 * among `puts` and `deletes` together.
 */
export interface Transaction {
  /** The client's id for it, where it sent one: the same id again answers the first outcome. */
  readonly request: RequestId | undefined;
  /** The incarnation of keys that this transaction creates: fresh for every transaction. */
  readonly incarnation: string;
  readonly conditions: readonly Condition[];
  readonly puts: readonly Put[];
  readonly deletes: readonly Key[];
  /** Latest entries to read, with values, at the same instant, before the writes. */
  readonly reads: readonly Key[];
}

/** Remembered for `REQUEST_ID_TTL_MS` with the outcome, where the transaction was committed. */
export interface RequestId {
  /** 32 hexadecimal digits: a hash of what the client sent, and of what it applies to. */
  readonly id: string;
  /** 32 hexadecimal digits: a hash of all that the transaction would do. */
  readonly fingerprint: string;
}

export type Condition =
  | { readonly kind: "absent"; readonly key: Key }
  | { readonly kind: "present"; readonly key: Key }
  /** The latest version has this number, of whatever incarnation; at least 1. */
  | { readonly kind: "version"; readonly key: Key; readonly version: number }
  /** The latest version is one of these. */
  | { readonly kind: "entry"; readonly key: Key; readonly entries: readonly EntryRef[] }
  /** The latest version is none of these, or the key does not exist. */
  | { readonly kind: "not-entry"; readonly key: Key; readonly entries: readonly EntryRef[] };

export interface Put {
  readonly key: Key;
  readonly value: Uint8Array;
  readonly digest: string;
  readonly contentType: string | undefined;
  readonly author: string | undefined;
  readonly message: string | undefined;
  /**
   * Set by migration alone: the entry as it was elsewhere. Committed only where the key does not exist
   * (its history then starts at `version`) or where its latest is this incarnation's `version - 1`;
   * otherwise a conflict.
   */
  readonly imported: ImportedEntry | undefined;
}

export interface ImportedEntry extends EntryRef {
  readonly createdAt: number;
}

export type Outcome =
  | Committed
  /** Some conditions were unmet; nothing was written. */
  | { readonly outcome: "conflict"; readonly unmet: readonly Unmet[] }
  /** The request id was used before with another fingerprint; nothing was written. */
  | { readonly outcome: "request-reused" }
  /** `info.transactions` does not allow these keys together; nothing was written. */
  | { readonly outcome: "unsupported" }
  /** This one failed and its neighbours may not have; `error.applied` says what is known. */
  | { readonly outcome: "failed"; readonly error: StateError };

export interface Committed {
  readonly outcome: "committed";
  /** True where the request id was found: nothing was written now. Reads are then made anew. */
  readonly replayed: boolean;
  /** In the order of the transaction's puts, deletes and reads. */
  readonly puts: readonly PutResult[];
  readonly deletes: readonly DeleteResult[];
  readonly reads: readonly (Entry | undefined)[];
}

export interface PutResult extends EntryRef {
  readonly createdAt: number;
}

/** How many versions the delete removed; 0 where the key did not exist. */
export interface DeleteResult {
  readonly versions: number;
}

export interface Unmet {
  /** Index into `conditions`; -1 for an imported put that does not follow the key's latest. */
  readonly condition: number;
  readonly key: Key;
  /** What the key's latest was instead. */
  readonly current: EntryRef | undefined;
}

export type HistoryPage =
  /** Versions below `before` (all, where undefined), newest first. */
  | { readonly order: "newest-first"; readonly before: number | undefined; readonly limit: number }
  /** Versions above `after`, oldest first. */
  | { readonly order: "oldest-first"; readonly after: number; readonly limit: number };

/** Keys with `from <= key < to` in key order (`to` undefined: no end). Bounds need not be keys. */
export interface KeysPage {
  readonly from: string;
  readonly to: string | undefined;
  readonly limit: number;
}

export interface KeyInfo extends EntryInfo {
  readonly key: Key;
}

/**
 * A position per partition of the feed, opaque but for this: within a partition, positions compare
 * as strings (`<`) in the order of the changes. Positions hold letters, digits, "_", "-" and "."
 * alone. The empty string is the beginning.
 */
export type Cursor = readonly string[];

/** One put or delete. Within a partition changes come in commit order; a key is always in one. */
export interface Change extends EntryRef {
  readonly key: Key;
  /** True where the key was deleted; `version` is then the last version it had. */
  readonly deleted: boolean;
  /** The entry's `createdAt`; of a delete, when it happened. */
  readonly at: number;
  readonly partition: number;
  readonly position: string;
}

export interface ChangeBatch {
  readonly changes: readonly Change[];
  /** Where to go on from after this batch. */
  readonly cursor: Cursor;
  /** True where nothing further was there when this batch was read. */
  readonly caughtUp: boolean;
}
