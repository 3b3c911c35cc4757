import type { Key } from "../../key.ts";

/** Keys that are remembered at most, in a megabyte or two. */
const KEYS_MAX = 10_000;

interface Seen {
  readonly version: number;
  /** False where it was another one the time before. */
  readonly isSteady: boolean;
}

/**
 * Remembers which version of a key was the latest when it was last read. It is a guess, which saves
 * its reader a script where it is right and costs it a round trip where it is not; so none is made of
 * a key that had changed between its last two reads.
 */
export class KnownVersions {
  readonly #seen = new Map<Key, Seen>();

  guess(key: Key): number | undefined {
    const seen = this.#seen.get(key);
    return seen?.isSteady === true ? seen.version : undefined;
  }

  /** Notes what the latest version was; undefined: there was no such key. */
  note(key: Key, version: number | undefined): void {
    const seen = this.#seen.get(key);
    if (version === undefined) {
      this.#seen.delete(key);
      return;
    }
    if (seen === undefined && this.#seen.size >= KEYS_MAX) this.#seen.clear();
    this.#seen.set(key, { version, isSteady: seen === undefined || seen.version === version });
  }
}
