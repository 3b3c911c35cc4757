import { setTimeout as sleep } from "node:timers/promises";
import { StepSize } from "../shared/step-size.ts";

/** Rows that one step removes of each kind: the most take 10 ms on an idle machine. */
const ROWS_MAX = 500;
const ROWS_MIN = 200;

/** Longest pause after a step, in milliseconds. */
const PAUSE_MS_MAX = 100;

/**
 * How much one step of housekeeping does, and how long it pauses after: it takes at most half of one of
 * the database's threads.
 */
export class SweepPace {
  readonly #size = new StepSize({ first: ROWS_MAX, min: ROWS_MIN, max: ROWS_MAX });

  /** How many rows the next step may remove. */
  get rows(): number {
    return this.#size.items;
  }

  /** Learns how long a step took. */
  learn(stepMs: number): void {
    this.#size.learn(stepMs);
  }

  /** Waits for as long as the step before it took. */
  async pause(stepMs: number, signal: AbortSignal): Promise<void> {
    const pauseMs = Math.min(stepMs, PAUSE_MS_MAX);
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
}
