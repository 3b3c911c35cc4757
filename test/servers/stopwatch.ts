const TICK_MS = 20;

/**
 * Measures time as this process had it. On a busy machine a process may stand still for seconds, and
 * then all its deadlines seem to be missed at once; what it stood still for does not count here.
 */
export class Stopwatch {
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #tickedAt = this.#startedAt;
  #heldUpMs = 0;

  constructor() {
    this.#timer = setInterval(() => {
      this.#heldUpMs += this.#lateMs();
      this.#tickedAt = performance.now();
    }, TICK_MS);
    this.#timer.unref();
  }

  /** Milliseconds since it was made, but for those: to be held against an upper bound. */
  get ms(): number {
    return this.wallMs - this.#heldUpMs - this.#lateMs();
  }

  /** All milliseconds since it was made: to be held against a lower bound. */
  get wallMs(): number {
    return performance.now() - this.#startedAt;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** By how much the next tick is late; a little late is usual. */
  #lateMs(): number {
    const lateMs = performance.now() - this.#tickedAt - TICK_MS;
    return lateMs > TICK_MS ? lateMs : 0;
  }
}
