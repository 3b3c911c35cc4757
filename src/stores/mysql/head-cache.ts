import type { Key } from "../../key.ts";
import type { Head, Heads } from "../shared/plan.ts";

/** Heads to remember, at some 200 bytes each. */
const HEADS_MAX = 50_000;

/**
 * The heads that this process has lately written, as guesses: with all of a batch's heads at hand, the
 * batch takes one round trip instead of two. A wrong guess costs time and nothing else, as the commit
 * checks every head.
 */
export class HeadCache {
  readonly #heads = new Map<Key, Head>();

  /** The heads of all these keys, or undefined where one is not known. */
  getAll(keys: readonly Key[]): Heads | undefined {
    const heads: Heads = new Map();
    for (const key of keys) {
      const head = this.#heads.get(key);
      if (head === undefined) return undefined;
      heads.set(key, head);
    }
    return heads;
  }

  set(key: Key, head: Head): void {
    // Written again, a head moves to the end: the first in the map is the one longest unused.
    this.#heads.delete(key);
    this.#heads.set(key, head);
    if (this.#heads.size > HEADS_MAX) {
      const [oldest] = this.#heads.keys();
      if (oldest !== undefined) this.#heads.delete(oldest);
    }
  }

  forget(keys: Iterable<Key>): void {
    for (const key of keys) this.#heads.delete(key);
  }
}
