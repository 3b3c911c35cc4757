import type { Key } from "../../key.ts";
import type { Clock } from "../../telemetry/clock.ts";
import type { KeyState } from "./documents.ts";

/** How many keys' ends of log one process remembers: about 200 bytes each. */
const KEYS_MAX = 50_000;

/**
 * How long an end of a log is used. What a sweep clears has been left alone for far longer (see
 * `sweep.ts`), so that no writer aims at a place that was taken once and is empty again.
 */
export const STATE_AGE_MS_MAX = 30_000;

interface Remembered {
  readonly state: KeyState;
  /** On the steady clock, and on the wall's: a machine that was asleep shows on the latter alone. */
  readonly at: number;
  readonly wallAt: number;
}

/**
 * Removes the items that were put into a map first. Many at a time: what is removed there leaves
 * holes that each look at the front has to pass.
 */
export function dropOldest(map: Map<string, unknown>, count: number): void {
  let left = count;
  for (const name of map.keys()) {
    if (left <= 0) break;
    map.delete(name);
    left -= 1;
  }
}

/**
 * Remembers where logs end, so that most writes need no read before them. A stale memory is harmless:
 * the place that it points at is taken, and the write loses its race.
 */
export class StateCache {
  readonly #clock: Clock;
  readonly #keys = new Map<Key, Remembered>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(key: Key): KeyState | undefined {
    const known = this.#keys.get(key);
    if (known === undefined) return undefined;
    const age = this.#clock.monotonic() - known.at;
    const wallAge = this.#clock.now() - known.wallAt;
    if (Math.max(age, wallAge) <= STATE_AGE_MS_MAX) return known.state;
    this.#keys.delete(key);
    return undefined;
  }

  /** `at` is the time just before the state was asked for, on the monotonic clock. */
  set(key: Key, state: KeyState, at: number): void {
    const wallAt = this.#clock.now() - (this.#clock.monotonic() - at);
    this.#keys.set(key, { state, at, wallAt });
    if (this.#keys.size > KEYS_MAX) dropOldest(this.#keys, KEYS_MAX / 8);
  }

  forget(key: Key): void {
    this.#keys.delete(key);
  }
}
