import { setTimeout as sleep } from "node:timers/promises";
import { StateError, type ErrorCode } from "../../errors.ts";
import type { Clock } from "../../telemetry/clock.ts";

const PASSING: ReadonlySet<ErrorCode> = new Set([
  "overloaded",
  "store_unavailable",
  "outcome_unknown",
]);

const PAUSE_MS = 500;

/** Repeats calls to a back end that is away for a moment: hours of copying end over less. */
export class Patience {
  readonly #forMs: number;
  readonly #clock: Clock;

  constructor(forMs: number, clock: Clock) {
    this.#forMs = forMs;
    this.#clock = clock;
  }

  /** The call must be harmless to repeat, whether or not it took effect. */
  async with<T>(call: () => Promise<T>): Promise<T> {
    const deadline = this.#clock.monotonic() + this.#forMs;
    for (;;) {
      try {
        return await call();
      } catch (error) {
        const mayPass = error instanceof StateError && PASSING.has(error.code);
        if (!mayPass || this.#clock.monotonic() > deadline) throw error;
        await sleep(PAUSE_MS);
      }
    }
  }
}
