import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../telemetry/clock.ts";
import { DeadlineError } from "./classify.ts";

/** When one call to the store has to be over, on a clock that never steps. */
export class Deadline {
  readonly #clock: Clock;
  readonly #end: number;

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#end = clock.monotonic() + timeoutMs;
  }

  remainingMs(): number {
    return Math.max(0, this.#end - this.#clock.monotonic());
  }

  isOver(): boolean {
    return this.remainingMs() === 0;
  }

  /** Waits, but never past the end. */
  async pause(ms: number): Promise<void> {
    await sleep(Math.min(ms, this.remainingMs()));
  }
}

/**
 * Settles within `ms`, whatever the driver does: none of its own timeouts covers every phase of a
 * call. The signal lets it drop the connection, so that a stuck call does not keep its pool slot.
 */
export async function settleWithin<T>(
  ms: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const error = new DeadlineError("MongoDB did not answer in time.");
    reject(error);
    abort.abort(error);
  }, ms);
  const running = call(abort.signal);
  // Whichever comes second has nobody left to tell.
  running.catch(() => {});
  late.catch(() => {});
  try {
    return await Promise.race([running, late]);
  } finally {
    clearTimeout(timer);
  }
}
