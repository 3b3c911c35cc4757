import type { ErrorCode, StateError } from "../../errors.ts";
import type { Clock } from "../../telemetry/clock.ts";
import type { Log } from "../../telemetry/log.ts";

/** A failure that lasts is said again after this. */
const REPEAT_MS = 10_000;

const CAUSE_CHARS_MAX = 200;

/** What a caller brought about, or what `close` did. */
const QUIET: ReadonlySet<ErrorCode> = new Set(["cursor_expired", "watch_unsupported"]);

/** Says that MongoDB fails, with the cause, once per outage and kind; and that it is back. */
export class FailureLog {
  readonly #log: Log;
  readonly #clock: Clock;
  #failing: { readonly code: ErrorCode; readonly saidAt: number } | undefined;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  failed(error: StateError): void {
    if (QUIET.has(error.code)) return;
    const now = this.#clock.monotonic();
    const last = this.#failing;
    if (last?.code === error.code && now - last.saidAt < REPEAT_MS) return;
    this.#failing = { code: error.code, saidAt: now };
    this.#log.error(
      { code: error.code, applied: error.applied, cause: describeCause(error) },
      `MongoDB failed a call. ${error.message}`,
    );
  }

  succeeded(): void {
    if (this.#failing === undefined) return;
    this.#failing = undefined;
    this.#log.info({}, "MongoDB answers again.");
  }
}

/**
 * The innermost cause in the driver's or the server's own words, which hold no credentials. A refused
 * command is repeated in them with all its values, so only their beginning is kept.
 */
function describeCause(error: Error): string {
  const { cause } = error;
  if (cause instanceof Error) return describeCause(cause);
  return `${error.name}: ${error.message.slice(0, CAUSE_CHARS_MAX)}`;
}
