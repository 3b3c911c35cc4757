import {
  STORE_TIMEOUT_MS_DEFAULT,
  CONNECT_TIMEOUT_MS_DEFAULT,
  FEED_RETENTION_MS_DEFAULT,
  VALUE_BYTES_DEFAULT,
} from "./limits.ts";
import type { RetentionRule } from "./state/retention.ts";
import { VersionedState } from "./state/versioned-state.ts";
import { openStore } from "./stores/index.ts";
import { systemClock, type Clock } from "./telemetry/clock.ts";
import { silentLog, type Log } from "./telemetry/log.ts";

export interface OpenOptions {
  readonly clock?: Clock;
  readonly log?: Log;
  /** Deadline of every call, in milliseconds; 5,000 unless told. */
  readonly timeoutMs?: number;
  /** How long a back end that is away is tried, in milliseconds; 10,000 unless told. */
  readonly connectTimeoutMs?: number;
  /** Largest value, in bytes; 8 MiB unless told, 15 MiB at most. */
  readonly maxValueBytes?: number;
  /** Spares copies: nobody changes bytes that were passed to a call or that a call answered. */
  readonly sharesBytes?: boolean;
  /** How far back the feed can be resumed, in milliseconds; 24 hours unless told. */
  readonly feedRetentionMs?: number;
  /** What to remove of old versions; unless told, everything stays for ever. */
  readonly retention?: readonly RetentionRule[];
}

/**
 * Opens a store and the engine over it: `await open("sqlite:./data/state.db")`. Throws
 * `invalid_parameter` for a URL that is not legal, and `store_unavailable`, `store_denied` or
 * `store_incompatible` where the back end can't be used.
 */
export async function open(url: string, options: OpenOptions = {}): Promise<VersionedState> {
  const settings = {
    clock: options.clock ?? systemClock,
    log: options.log ?? silentLog,
    timeoutMs: options.timeoutMs ?? STORE_TIMEOUT_MS_DEFAULT,
    connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS_DEFAULT,
    maxValueBytes: options.maxValueBytes ?? VALUE_BYTES_DEFAULT,
    sharesBytes: options.sharesBytes ?? false,
    feedRetentionMs: options.feedRetentionMs ?? FEED_RETENTION_MS_DEFAULT,
    retention: options.retention ?? [],
  };
  return new VersionedState(await openStore(url, settings), settings);
}

export type * from "./api.ts";
export type * from "./store.ts";
export { ERRORS, StateError, type Applied, type ErrorCode } from "./errors.ts";
export type { RetentionRule } from "./state/retention.ts";
export type { StateOptions, StateStats } from "./state/versioned-state.ts";
export { VersionedState } from "./state/versioned-state.ts";
export type { Clock } from "./telemetry/clock.ts";
export type { Log } from "./telemetry/log.ts";
