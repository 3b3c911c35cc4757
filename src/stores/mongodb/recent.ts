import type { Clock } from "../../telemetry/clock.ts";

/**
 * How long what was heard of a key's log is used. What a sweep clears has been left alone for far
 * longer (see `sweep.ts`): within this time no place in a log is taken, emptied and taken again.
 */
export const AGE_MS_MAX = 30_000;

interface Remembered<T> {
  readonly item: T;
  readonly weight: number;
  /** On the steady clock, and on the wall's: a machine that was asleep shows on the latter alone. */
  readonly at: number;
  readonly wallAt: number;
}

export interface RecentOptions<T> {
  readonly clock: Clock;
  /** What all items together may weigh. */
  readonly weightMax: number;
  readonly weigh: (item: T, name: string) => number;
}

/** Remembers items by name for `AGE_MS_MAX`, within a bound; what was put in first goes first. */
export class Recent<T> {
  readonly #options: RecentOptions<T>;
  readonly #items = new Map<string, Remembered<T>>();
  #weight = 0;

  constructor(options: RecentOptions<T>) {
    this.#options = options;
  }

  get(name: string): T | undefined {
    const known = this.#items.get(name);
    if (known === undefined) return undefined;
    const { clock } = this.#options;
    const age = clock.monotonic() - known.at;
    const wallAge = clock.now() - known.wallAt;
    if (Math.max(age, wallAge) <= AGE_MS_MAX) return known.item;
    this.forget(name);
    return undefined;
  }

  /** `at` is the time just before the item was asked for, on the monotonic clock. */
  set(name: string, item: T, at: number): void {
    const { clock, weigh, weightMax } = this.#options;
    const wallAt = clock.now() - (clock.monotonic() - at);
    const weight = weigh(item, name);
    this.#weight += weight - (this.#items.get(name)?.weight ?? 0);
    this.#items.set(name, { item, weight, at, wallAt });
    if (this.#weight > weightMax) this.#dropOldest(weightMax * 0.875);
  }

  forget(name: string): void {
    this.#weight -= this.#items.get(name)?.weight ?? 0;
    this.#items.delete(name);
  }

  /** Many at a time: what is removed in front leaves holes that each look there has to pass. */
  #dropOldest(weight: number): void {
    for (const name of this.#items.keys()) {
      if (this.#weight <= weight) return;
      this.forget(name);
    }
  }
}
