import type { Place } from "./places.ts";

/** Positions of a log that are learned together. */
export const STRETCH = 1024;

/** What is remembered in all, in starts of segments: a few megabytes. */
const WEIGHT_MAX = 500_000;

/** What a stretch takes beside its starts. */
const STRETCH_WEIGHT = 16;

/**
 * Remembers where segments start, so that an entry can be read by the place of its segment. Within a
 * life that never changes, and who reads by it sees at once where it is not the whole truth: the
 * newest segments may be missing, and those that a sweep has cleared may still be named.
 */
export class SegmentMap {
  /** Starts in rising order, by stretch; the first may lie below the stretch and reach into it. */
  readonly #stretches = new Map<string, number[]>();
  #weight = 0;

  /** Whether anything is known of the stretch that a place is in. */
  knows(place: Place): boolean {
    return this.#stretches.has(nameOf(place));
  }

  /** The greatest known start that is not above the place. */
  startOf(place: Place): number | undefined {
    return this.#stretches.get(nameOf(place))?.findLast((start) => start <= place.position);
  }

  /** Adds starts to the stretch of a place. */
  note(place: Place, starts: readonly number[]): void {
    const name = nameOf(place);
    const known = this.#stretches.get(name);
    const added = known === undefined ? starts : starts.filter((start) => !known.includes(start));
    this.#weight += added.length + (known === undefined ? STRETCH_WEIGHT : 0);
    const all = [...(known ?? []), ...added].sort((one, other) => one - other);
    this.#stretches.set(name, all);
    if (this.#weight > WEIGHT_MAX) this.#dropOldest(WEIGHT_MAX * 0.875);
  }

  /** Many at a time: what is removed in front leaves holes that each look there has to pass. */
  #dropOldest(weight: number): void {
    for (const [name, starts] of this.#stretches) {
      if (this.#weight <= weight) return;
      this.#weight -= starts.length + STRETCH_WEIGHT;
      this.#stretches.delete(name);
    }
  }
}

/** The first position of the stretch that a place is in. */
export function stretchOf({ position }: Place): number {
  return position - (position % STRETCH);
}

/** No key holds U+0000, so nothing before it can be taken for a part of the key. */
function nameOf(place: Place): string {
  return `${stretchOf(place)}\0${place.incarnation}\0${place.key}`;
}
