import { randomInt } from "node:crypto";
import type { DatabaseSync, StatementSync } from "node:sqlite";

import { systemClock } from "../../telemetry/clock.ts";
import { isBusy } from "./classify.ts";
import { isAbandoned, pause, type Turn } from "./protocol.ts";

/** Between two tries for the lock, in microseconds: a random time in this range. */
const RETRY_US_MIN = 50;
const RETRY_US_MAX = 300;

/** After a commit, others get this long to take the lock, in milliseconds. */
const HANDOVER_MS = 0.5;

/** Others are taken to want the lock for this long after they were last seen to hold it. */
const CONTENDED_MS = 1_000;

/**
 * The file's write lock, shared with other processes. SQLite has no queue for it, so fairness comes
 * from how it is asked for: often, at random times, and, where others are about, not again at once
 * after a commit. The gap that this leaves is longer than the time between two tries.
 */
export class WriteLock {
  readonly #begin: StatementSync;
  #contendedUntil = 0;
  #releasedAt = 0;

  constructor(db: DatabaseSync) {
    this.#begin = db.prepare("BEGIN IMMEDIATE");
  }

  /** Begins a write transaction. Answers false where the call was abandoned before. */
  acquire(turn: Turn): boolean {
    if (systemClock.monotonic() < this.#contendedUntil) {
      const waitMs = this.#releasedAt + HANDOVER_MS - systemClock.monotonic();
      if (waitMs > 0) pause(turn, waitMs);
    }
    while (!isAbandoned(turn)) {
      if (this.#try()) return true;
      this.#contendedUntil = systemClock.monotonic() + CONTENDED_MS;
      pause(turn, randomInt(RETRY_US_MIN, RETRY_US_MAX) / 1000);
    }
    return false;
  }

  /** To be called after each commit or roll-back. */
  released(): void {
    this.#releasedAt = systemClock.monotonic();
  }

  #try(): boolean {
    try {
      this.#begin.run();
      return true;
    } catch (error) {
      if (isBusy(error)) return false;
      throw error;
    }
  }
}
