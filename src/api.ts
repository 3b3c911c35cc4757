import type { Entry, EntryInfo, EntryRef } from "./store.ts";

/**
 * What people program against: the engine (`state/`) and the HTTP client (`client/`) both have this
 * surface. Keys are plain strings here and are checked inside.
 *
 * Every method throws a {@link StateError}: `invalid_key` or `invalid_parameter` for bad input,
 * `condition_failed` for an unmet condition (`details.current` says what was there instead), and the
 * failures of `errors.ts`, whose `applied` says whether a write may have happened.
 */
export interface StateApi {
  /** Adds the next version of a key. */
  put(key: string, value: string | Uint8Array, options?: PutOptions): Promise<PutAnswer>;
  /** The latest entry, or the one that was the latest at `at`. */
  get(key: string, options?: { readonly at?: Moment }): Promise<Entry | undefined>;
  /** One entry by number. Throws `version_trimmed` where retention has removed it. */
  getVersion(key: string, version: number): Promise<Entry | undefined>;
  /** As `get` and `getVersion`, without the value. */
  head(key: string, which?: Which): Promise<EntryInfo | undefined>;
  /** Removes a key with all its versions. Its next put is version 1. */
  delete(key: string, options?: DeleteOptions): Promise<DeleteAnswer>;
  /** A page of the history, newest first; undefined where the key does not exist. */
  history(key: string, options?: HistoryOptions): Promise<HistoryAnswer | undefined>;
  /** A page of keys in the order of their UTF-8 bytes. */
  keys(options?: KeysOptions): Promise<KeysAnswer>;
  /** Compares two versions of a key; undefined where the key or either version does not exist. */
  diff(key: string, options: DiffOptions): Promise<DiffAnswer | undefined>;
  /** Writes an old version's value as a new version; undefined where there is no such version. */
  restore(key: string, options: RestoreOptions): Promise<PutAnswer | undefined>;
  /** Brings every key of a prefix back to a moment, by new versions and deletes. */
  restorePrefix(options: RestorePrefixOptions): Promise<RestorePrefixAnswer>;
  /** Conditions, writes and reads that take effect together or not at all. */
  transact(request: TransactRequest): Promise<TransactAnswer>;
  /** Follows one key. Starts with the version after `after` (default: the latest), whatever its age. */
  watch(key: string, options?: WatchOptions): AsyncIterable<WatchEvent>;
  /** Follows all keys of a prefix, from now on or from a cursor. */
  watchPrefix(options: WatchPrefixOptions): AsyncIterable<WatchEvent>;
  /** Waits for what is under way, then lets go of the store. */
  close(): Promise<void>;
}

/** A moment: milliseconds since 1970, or a Date. */
export type Moment = number | Date;

export type Which = { readonly version: number } | { readonly at: Moment };

/** Conditions on the key that is written. All that are given must hold. */
export interface Conditions {
  /** The latest version has this number; 0: the key does not exist. */
  readonly cas?: number;
  /** The latest entry is one of these (ETags of `GET`); `"*"`: the key exists. */
  readonly ifMatch?: readonly EntryRef[] | "*";
  /** The latest entry is none of these; `"*"`: the key does not exist. */
  readonly ifNoneMatch?: readonly EntryRef[] | "*";
}

export interface WriteOptions extends Conditions {
  /** The same key and id again within 24 hours answers the first outcome and writes nothing. */
  readonly idempotencyKey?: string;
}

export interface PutOptions extends WriteOptions {
  readonly contentType?: string;
  readonly author?: string;
  readonly message?: string;
}

export type DeleteOptions = Conditions;

export interface PutAnswer extends EntryRef {
  readonly key: string;
  readonly createdAt: number;
  /** SHA-256 of the value; empty of a replayed restore whose version has been removed since. */
  readonly digest: string;
  /** True where an earlier request with the same idempotency key had written it. */
  readonly replayed: boolean;
}

export interface DeleteAnswer {
  /** How many versions were removed. */
  readonly versions: number;
}

export interface HistoryOptions {
  /** 1 to 1,000; 100 unless told. */
  readonly limit?: number;
  /** Only versions below this one. */
  readonly before?: number;
  readonly values?: boolean;
}

export type HistoryItem = EntryInfo & { readonly value?: Uint8Array };

export interface HistoryAnswer {
  readonly key: string;
  readonly versions: readonly HistoryItem[];
  /** The `before` of the next page, while there is more. */
  readonly next: number | undefined;
}

export interface KeysOptions {
  readonly prefix?: string;
  /** Folds keys that hold it after the prefix into one item of `prefixes`, as S3 does. */
  readonly delimiter?: string;
  /** The `next` of the page before. */
  readonly after?: string;
  readonly limit?: number;
  readonly values?: boolean;
  /** Lists the keys that exist now as they were at that moment. */
  readonly at?: Moment;
}

export type KeysItem = EntryInfo & { readonly key: string; readonly value?: Uint8Array };

export interface KeysAnswer {
  readonly keys: readonly KeysItem[];
  readonly prefixes: readonly string[];
  /** Opaque; the `after` of the next page, while there is more. */
  readonly next: string | undefined;
}

export interface DiffOptions {
  readonly from: Which;
  /** The latest, unless told. */
  readonly to?: Which;
  /** `"json-patch"` (RFC 6902) wants both values to be JSON. */
  readonly format?: "text" | "json-patch";
}

export interface DiffAnswer {
  readonly from: EntryInfo;
  readonly to: EntryInfo;
  /** `"binary"`: a value is not UTF-8, and only sizes and digests can be compared. */
  readonly kind: "text" | "json-patch" | "binary";
  /** The unified diff, or the patch as JSON; empty for `"binary"`. */
  readonly body: string;
}

export interface RestoreOptions extends WriteOptions {
  readonly from: Which;
  readonly author?: string;
  /** `Restored from version N` unless told. */
  readonly message?: string;
}

export interface RestorePrefixOptions {
  readonly prefix: string;
  readonly at: Moment;
  /** Reports what it would do, and does nothing. */
  readonly dryRun?: boolean;
  readonly author?: string;
  /** Where the answer before ended, to go on from there. */
  readonly after?: string;
  /** Keys to look at in one call: 1 to 1,000; 100 unless told. */
  readonly limit?: number;
}

export interface RestorePrefixAnswer {
  /** Keys that were not as they had been, with what was done, or would be. */
  readonly restored: readonly {
    readonly key: string;
    readonly action: "put" | "delete";
    /** The version whose value was written again; undefined of a delete. */
    readonly from: number | undefined;
    /** The new version; undefined of a delete and of a dry run. */
    readonly version: number | undefined;
  }[];
  /** Keys that were as they had been. */
  readonly unchanged: number;
  /** Keys that someone else wrote meanwhile, left alone; call again to bring them back too. */
  readonly conflicts: readonly string[];
  /** Keys whose version of that moment retention has removed, left alone. */
  readonly trimmed: readonly string[];
  readonly next: string | undefined;
}

export interface TransactRequest {
  readonly if?: readonly ({ readonly key: string } & Conditions)[];
  readonly put?: readonly ({
    readonly key: string;
    readonly value: string | Uint8Array;
  } & Pick<PutOptions, "contentType" | "author" | "message">)[];
  readonly delete?: readonly string[];
  readonly get?: readonly string[];
  readonly idempotencyKey?: string;
}

export interface TransactAnswer {
  readonly put: readonly PutAnswer[];
  readonly deleted: readonly { readonly key: string; readonly versions: number }[];
  /** As they were just before the writes. */
  readonly get: readonly { readonly key: string; readonly entry: Entry | undefined }[];
  readonly replayed: boolean;
}

export interface WatchOptions {
  /** The last version the caller has; 0 for the whole history. */
  readonly after?: number;
  /** The `id` of the last event the caller has seen: resumes there. */
  readonly lastEventId?: string;
  readonly values?: boolean;
  readonly signal?: AbortSignal;
}

export interface WatchPrefixOptions {
  readonly prefix: string;
  /** The `id` of the last event the caller has seen: resumes there, without missing or repeating. */
  readonly lastEventId?: string;
  readonly values?: boolean;
  readonly signal?: AbortSignal;
}

export type WatchEvent =
  | {
      readonly type: "put";
      readonly id: string;
      readonly key: string;
      readonly incarnation: string;
      readonly version: number;
      readonly createdAt: number;
      /** Undefined where the version was removed before it could be read. */
      readonly entry: HistoryItem | undefined;
    }
  | {
      readonly type: "delete";
      readonly id: string;
      readonly key: string;
      /** The last entry that the key had. */
      readonly incarnation: string;
      readonly version: number;
    }
  /** All that was missed has been sent. */
  | { readonly type: "caught-up"; readonly id: string }
  /** The reader was too slow and is cut off; resume from the last id. The last event. */
  | { readonly type: "too-slow"; readonly id: string };
