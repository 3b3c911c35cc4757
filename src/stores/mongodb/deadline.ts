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
 * call. A call that is given up keeps its connection until the socket's own timeout; a signal that
 * took it away at once would cost every call a sixth of what a command costs.
 */
export async function settleWithin<T>(ms: number, call: () => Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new DeadlineError("MongoDB did not answer in time.")), ms);
  const running = call();
  // Whichever comes second has nobody left to tell.
  running.catch(() => {});
  late.catch(() => {});
  try {
    return await Promise.race([running, late]);
  } finally {
    clearTimeout(timer);
  }
}
