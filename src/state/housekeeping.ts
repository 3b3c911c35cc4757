import { setTimeout as sleep } from "node:timers/promises";

import type { Store } from "../store.ts";
import type { Log } from "../telemetry/log.ts";
import type { Retention } from "./retention.ts";

/** Between two steps while there is more to do, in milliseconds: others come first. */
const BUSY_PAUSE_MS = 10;

/** Between two looks when there is nothing to do, in milliseconds. */
const IDLE_PAUSE_MS = 1_000;

/** After a step failed, in milliseconds. */
const FAILED_PAUSE_MS = 5_000;

/** Between the start of one sweep over all keys and the next, in milliseconds. */
const SWEEP_EVERY_MS = 10 * 60 * 1000;

/** Steps of the store's own housekeeping are asked for this often when idle, in milliseconds. */
const MAINTAIN_EVERY_MS = 5_000;

export interface HousekeepingParts {
  readonly store: Store;
  readonly retention: Retention;
  readonly log: Log;
  readonly feedRetentionMs: number;
  /** A clock that never steps, in milliseconds. */
  readonly monotonic: () => number;
}

/** Does the work that no request waits for, in small steps, until it is stopped. */
export class Housekeeping {
  readonly #parts: HousekeepingParts;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #maintainAt = 0;
  #sweepAt = 0;
  #isSweeping = false;

  constructor(parts: HousekeepingParts) {
    this.#parts = parts;
    this.#done = this.#run();
  }

  /** Stops after the step under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  /** Asks for the store's housekeeping soon: a delete has left something behind. */
  hurry(): void {
    this.#maintainAt = 0;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let pauseMs = IDLE_PAUSE_MS;
    while (!signal.aborted) {
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      try {
        pauseMs = (await this.#step()) ? BUSY_PAUSE_MS : IDLE_PAUSE_MS;
      } catch (error) {
        this.#parts.log.warn({ err: error }, "housekeeping failed and will be tried again");
        pauseMs = FAILED_PAUSE_MS;
      }
    }
  }

  /** Answers true where there is more to do at once. */
  async #step(): Promise<boolean> {
    const { store, retention, feedRetentionMs, monotonic } = this.#parts;
    let more = false;
    if (monotonic() >= this.#maintainAt) {
      const isMore = await store.maintain({ feedRetentionMs });
      this.#maintainAt = isMore ? 0 : monotonic() + MAINTAIN_EVERY_MS;
      more ||= isMore;
    }
    if (!retention.isNeeded) return more;
    if (await retention.stepWritten()) more = true;
    if (monotonic() >= this.#sweepAt) {
      this.#isSweeping = true;
      this.#sweepAt = monotonic() + SWEEP_EVERY_MS;
    }
    if (this.#isSweeping) this.#isSweeping = await retention.stepSweep();
    return more || this.#isSweeping;
  }
}
