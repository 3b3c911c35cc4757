export interface StepBounds {
  readonly first: number;
  readonly min: number;
  readonly max: number;
}

/** How long a step of housekeeping should take, in milliseconds. */
const STEP_MS_TARGET = 10;

/**
 * How many items one step of housekeeping takes on. A back end that is busy takes longer over the same
 * number, so steps grow smaller there, and larger again when it is not.
 */
export class StepSize {
  readonly #bounds: StepBounds;
  #items: number;

  constructor(bounds: StepBounds) {
    this.#bounds = bounds;
    this.#items = bounds.first;
  }

  /** How many the next step may take. */
  get items(): number {
    return this.#items;
  }

  /** Learns how long a step took. */
  learn(stepMs: number): void {
    const { min, max } = this.#bounds;
    if (stepMs > 2 * STEP_MS_TARGET) this.#items = Math.max(min, Math.floor(this.#items / 2));
    else if (stepMs < STEP_MS_TARGET) this.#items = Math.min(max, this.#items * 2);
  }
}
