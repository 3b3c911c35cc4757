import type { ErrorCode, StateError } from "../../errors.ts";
import type { Clock } from "../../telemetry/clock.ts";
import type { Log } from "../../telemetry/log.ts";

/** A failure that goes on is said again after this many milliseconds. */
const REPEAT_MS = 10_000;

/** Failures that a caller brought about, and nobody need look after. */
const SILENT: ReadonlySet<ErrorCode> = new Set(["cursor_expired", "value_too_large"]);

/**
 * Says once that the database fails and why, and once that it is back: a line for every request would
 * bury both.
 */
export class FailureLog {
  readonly #log: Log;
  readonly #clock: Clock;
  #code: ErrorCode | undefined;
  #saidAt = 0;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  failed(error: StateError): void {
    if (SILENT.has(error.code)) return;
    const now = this.#clock.monotonic();
    if (error.code === this.#code && now - this.#saidAt < REPEAT_MS) return;
    this.#code = error.code;
    this.#saidAt = now;
    this.#log.error(
      { code: error.code, reason: reasonOf(error) },
      `The database failed a call. ${error.message}`,
    );
  }

  succeeded(): void {
    if (this.#code === undefined) return;
    this.#code = undefined;
    this.#log.info({}, "The database answers again.");
  }
}

/** The innermost cause, in the words of the driver or the server. */
function reasonOf(error: Error): string {
  let inner = error;
  while (inner.cause instanceof Error) inner = inner.cause;
  const { code } = inner as { code?: unknown };
  return typeof code === "string" ? `${code}: ${inner.message}` : inner.message;
}
