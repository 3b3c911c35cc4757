import { ERRORS, type ErrorCode, type StateError } from "../errors.ts";
import type { Clock } from "../telemetry/clock.ts";
import type { Log } from "../telemetry/log.ts";

/** Least time between two lines about the same code. */
const INTERVAL_MS = 1_000;

interface Seen {
  loggedAt: number;
  suppressed: number;
}

/**
 * Logs failures of the server's side with their cause, which callers never see. A back end that is
 * away fails thousands of requests a second: each code gets one line a second, with a count.
 */
export class FailureLog {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #seen = new Map<ErrorCode, Seen>();

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock;
    this.#log = log;
  }

  record(error: StateError): void {
    const { code, applied, message, cause } = error;
    if (ERRORS[code].status < 500) return;
    const now = this.#clock.monotonic();
    const seen = this.#seen.get(code);
    if (seen !== undefined && now - seen.loggedAt < INTERVAL_MS) {
      seen.suppressed += 1;
      return;
    }
    const fields = { code, applied, err: cause ?? error, suppressed: seen?.suppressed ?? 0 };
    this.#seen.set(code, { loggedAt: now, suppressed: 0 });
    if (code === "internal" || code === "outcome_unknown") this.#log.error(fields, message);
    else this.#log.warn(fields, message);
  }
}
