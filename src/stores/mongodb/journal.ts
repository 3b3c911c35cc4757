import type { ObjectId } from "mongodb";

/** How many keys are remembered: about 150 bytes each. */
const KEYS_MAX = 50_000;

/** A key's newest segment. */
interface Newest {
  /** The key. */
  readonly _id: string;
  /** The segment. */
  readonly i: ObjectId;
}

/**
 * Knows which segments a standalone server has in its journal. A replica set shows its majority
 * readers nothing else; a standalone server shows a write at once, and for up to 100 ms a crash could
 * take it back from whoever has seen it.
 */
export class Journal {
  readonly #known = new Map<string, string>();

  note(newest: Iterable<Newest>): void {
    for (const { _id: key, i } of newest) {
      this.#known.set(key, i.toHexString());
    }
    if (this.#known.size > KEYS_MAX) this.#dropOldest(KEYS_MAX / 8);
  }

  /** Many at a time: what is removed in front leaves holes that each look there has to pass. */
  #dropOldest(count: number): void {
    let left = count;
    for (const name of this.#known.keys()) {
      if (left <= 0) break;
      this.#known.delete(name);
      left -= 1;
    }
  }

  knows(newest: Iterable<Newest>): boolean {
    for (const { _id: key, i } of newest) {
      if (this.#known.get(key) !== i.toHexString()) return false;
    }
    return true;
  }
}
