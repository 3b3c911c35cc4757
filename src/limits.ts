/** Every bound of the server in one place, its unit in its name. */

/** Longest key, in bytes of UTF-8. InnoDB's primary keys end at 3,072 bytes; this leaves room. */
export const KEY_BYTES_MAX = 512;

/** Largest value unless `--max-value-size` says otherwise. */
export const VALUE_BYTES_DEFAULT = 8 * 1024 * 1024;

/** Ceiling of `--max-value-size`: a MongoDB document ends at 16 MiB, and an entry is more than its value. */
export const VALUE_BYTES_CEILING = 15 * 1024 * 1024;

/** Longest `author` and `message`, in characters. */
export const AUTHOR_CHARS_MAX = 256;
export const MESSAGE_CHARS_MAX = 1024;

/** Longest stored content type, in characters. A longer one is stored as none. */
export const CONTENT_TYPE_CHARS_MAX = 256;

/** Longest incarnation. Ours have 12 characters; imported ones come from another of our stores. */
export const INCARNATION_CHARS_MAX = 32;

/** Longest `Idempotency-Key`, in characters. */
export const REQUEST_ID_CHARS_MAX = 256;

/** How long an `Idempotency-Key` is remembered: 24 hours. */
export const REQUEST_ID_TTL_MS = 24 * 60 * 60 * 1000;

/** How long a store remembers its own commit ids, far past any retry of its own: 10 minutes. */
export const COMMIT_ID_TTL_MS = 10 * 60 * 1000;

/** For how long a commit may be sent again: well within the time that its id is remembered. */
export const COMMIT_RESEND_MS_MAX = COMMIT_ID_TTL_MS / 2;

/** Items in one answer of a list: unless told, and at most. */
export const PAGE_ITEMS_DEFAULT = 100;
export const PAGE_ITEMS_MAX = 1000;

/** Bytes of values in one answer of a list with `values=true`; the page ends early past that. */
export const PAGE_VALUE_BYTES_MAX = 8 * 1024 * 1024;

/** Conditions, and writes, and reads in one transaction. */
export const TRANSACTION_ITEMS_MAX = 128;

/** Bytes of all values in one transaction: a MongoDB transaction's values travel together. */
export const TRANSACTION_VALUE_BYTES_MAX = 15 * 1024 * 1024;

/** What one batch to a store may hold. */
export const BATCH_ITEMS_MAX = 512;
export const BATCH_BYTES_MAX = 15 * 1024 * 1024;

/** What may wait for a store before further requests are answered 503. */
export const QUEUE_ITEMS_MAX = 20_000;
export const QUEUE_BYTES_MAX = 256 * 1024 * 1024;

/** Deadline of one call to a store, unless `--store-timeout` says otherwise. */
export const STORE_TIMEOUT_MS_DEFAULT = 5_000;

/** How long opening a store retries a back end that is away, unless `--connect-timeout` says otherwise. */
export const CONNECT_TIMEOUT_MS_DEFAULT = 10_000;

/** How far back the feed can be resumed, unless `--feed-retention` says otherwise: 24 hours. */
export const FEED_RETENTION_MS_DEFAULT = 24 * 60 * 60 * 1000;
