import type { Key } from "../../key.ts";
import type { Entry } from "../../store.ts";
import type { Head, Heads } from "../shared/plan.ts";

/** Keys to remember, and bytes in all. */
const KEYS_MAX = 50_000;
const BYTES_MAX = 32 * 1024 * 1024;

/** A larger value is read anew: moving it costs more than finding it. */
const VALUE_BYTES_MAX = 16 * 1024;

/** Counted for a key beside its value: its own bytes, its metadata and what the map needs. */
const OVERHEAD_BYTES = 400;

/** What was last seen of a key. */
export interface Latest {
  readonly head: Head;
  /**
   * Drawn anew by every commit, as 16 hexadecimal digits. A database that was set back, by a failover
   * say, may give the same version to another value; its stamp is another then.
   */
  readonly stamp: string;
  /** The latest entry, where its value is small. */
  readonly entry: Entry | undefined;
}

/** Heads that a batch may be planned from, and the stamps by which the database confirms them. */
export interface Guess {
  readonly heads: Heads;
  readonly stamps: ReadonlyMap<Key, string>;
}

/**
 * What this process has lately written and read, as guesses that the database confirms. With all heads of
 * a batch at hand, a commit takes one round trip instead of two; with its entry at hand, a read need
 * only ask which entry is the latest. A wrong guess costs time and nothing else.
 */
export class LatestCache {
  readonly #latest = new Map<Key, Latest>();
  #bytes = 0;

  get(key: Key): Latest | undefined {
    return this.#latest.get(key);
  }

  /** What is known of all these keys, or undefined where one is not known. */
  getAll(keys: readonly Key[]): Guess | undefined {
    const heads: Heads = new Map();
    const stamps = new Map<Key, string>();
    for (const key of keys) {
      const latest = this.#latest.get(key);
      if (latest === undefined) return undefined;
      heads.set(key, latest.head);
      stamps.set(key, latest.stamp);
    }
    return { heads, stamps };
  }

  set(key: Key, latest: Latest): void {
    const known = this.#latest.get(key);
    if (known !== undefined) {
      // An answer that was overtaken by a later commit's.
      if (isBefore(latest.head, known.head)) return;
      // Written again, a key moves to the end: the first of the map is the one longest unchanged.
      this.#latest.delete(key);
      this.#bytes -= bytesOf(known);
    }
    const { head, stamp, entry } = latest;
    const isKept = entry !== undefined && entry.size <= VALUE_BYTES_MAX;
    const kept = { head, stamp, entry: isKept ? copyOf(entry) : undefined };
    this.#latest.set(key, kept);
    this.#bytes += bytesOf(kept);
    while (this.#bytes > BYTES_MAX || this.#latest.size > KEYS_MAX) this.#forgetOldest();
  }

  forget(keys: Iterable<Key>): void {
    for (const key of keys) {
      const known = this.#latest.get(key);
      if (known === undefined) continue;
      this.#latest.delete(key);
      this.#bytes -= bytesOf(known);
    }
  }

  #forgetOldest(): void {
    for (const key of this.#latest.keys()) {
      this.forget([key]);
      return;
    }
  }
}

function isBefore(a: Head, b: Head): boolean {
  return a.incarnation === b.incarnation && a.version < b.version;
}

function bytesOf({ entry }: Latest): number {
  return OVERHEAD_BYTES + (entry?.size ?? 0);
}

/** An entry whose value belongs to nobody else: callers may write into theirs. */
export function copyOf(entry: Entry): Entry {
  return { ...entry, value: Buffer.from(entry.value) };
}
