import type { ErrorCode, StateError } from "../../errors.ts";
import type { Clock } from "../../telemetry/clock.ts";
import type { Log } from "../../telemetry/log.ts";

/** A failure that goes on is said again after this many milliseconds. */
const REPEAT_MS = 10_000;

/** Failures that a caller brought about, and nobody need look after. */
const SILENT: ReadonlySet<ErrorCode> = new Set([
  "cursor_expired",
  "value_too_large",
  "watch_unsupported",
]);

/** A refused command may be repeated with all its values in the message, of which this much is kept. */
const REASON_CHARS_MAX = 300;

/**
 * Says once that a back end fails and why, and once that it is back: a line for every request would
 * bury both.
 */
export class FailureLog {
  readonly #product: string;
  readonly #log: Log;
  readonly #clock: Clock;
  /** When each kind was last said, since the last call that succeeded. */
  readonly #said = new Map<ErrorCode, number>();

  /** `product` is what the lines call the back end. */
  constructor(product: string, { log, clock }: { readonly log: Log; readonly clock: Clock }) {
    this.#product = product;
    this.#log = log;
    this.#clock = clock;
  }

  failed(error: StateError): void {
    if (SILENT.has(error.code)) return;
    const now = this.#clock.monotonic();
    if (now - (this.#said.get(error.code) ?? -Infinity) < REPEAT_MS) return;
    this.#said.set(error.code, now);
    this.#log.error(
      { code: error.code, applied: error.applied, reason: reasonOf(error) },
      `${this.#product} failed a call. ${error.message}`,
    );
  }

  succeeded(): void {
    if (this.#said.size === 0) return;
    this.#said.clear();
    this.#log.info({}, `${this.#product} answers again.`);
  }
}

/** The innermost cause, in the words of the driver or the server. */
function reasonOf(error: Error): string {
  let inner = error;
  while (inner.cause instanceof Error) inner = inner.cause;
  const { code } = inner as { code?: unknown };
  const name = typeof code === "string" ? code : inner.name;
  return `${name}: ${inner.message.slice(0, REASON_CHARS_MAX)}`;
}
