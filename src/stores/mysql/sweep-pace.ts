import { setTimeout as sleep } from "node:timers/promises";

/** Rows that one step removes of each kind, at most and at least. */
const ROWS_MAX = 500;
const ROWS_MIN = 200;

/** How long a step should take, in milliseconds; 500 small rows take about as long on an idle machine. */
const STEP_MS_TARGET = 10;

/** Longest pause after a step, in milliseconds. */
const PAUSE_MS_MAX = 100;

/**
 * How much one step of housekeeping does. A database that is busy takes longer over the same rows, so
 * steps grow smaller there and pauses longer: housekeeping takes at most half of one of its threads.
 */
export class SweepPace {
  #rows = ROWS_MAX;

  /** How many rows the next step may remove. */
  get rows(): number {
    return this.#rows;
  }

  /** Learns how long a step took. */
  learn(stepMs: number): void {
    if (stepMs > 2 * STEP_MS_TARGET) this.#rows = Math.max(ROWS_MIN, Math.floor(this.#rows / 2));
    else if (stepMs < STEP_MS_TARGET) this.#rows = Math.min(ROWS_MAX, this.#rows * 2);
  }

  /** Waits for as long as the step before it took. */
  async pause(stepMs: number, signal: AbortSignal): Promise<void> {
    const pauseMs = Math.min(stepMs, PAUSE_MS_MAX);
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
}
