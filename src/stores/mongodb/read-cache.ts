import type { ObjectId } from "mongodb";
import type { Key } from "../../key.ts";
import type { StoredEntry } from "../../store.ts";
import type { Clock } from "../../telemetry/clock.ts";
import type { LiveKey } from "./documents.ts";
import type { Place } from "./places.ts";
import { Recent } from "./recent.ts";

/** What is remembered of latest entries, and again of older ones; and the largest value in it. */
const CACHE_BYTES_MAX = 32 * 1024 * 1024;
const VALUE_BYTES_MAX = 32 * 1024;

/** What an item takes beside its name and value. */
const ITEM_BYTES = 500;

/** A key's newest segment, as reads need it. */
export interface Head {
  /** Undefined where no document is about the key. */
  readonly segment: { readonly id: ObjectId; readonly start: number } | undefined;
  /** Undefined where the key does not exist. */
  readonly live: LiveKey | undefined;
  /** The latest entry, without its value where nobody has asked for that. */
  readonly latest: StoredEntry | undefined;
}

/** Whether a head is asked for with its value: in any case, where that is remembered, or not. */
export type WantedHead = "value" | "known-value" | "info";

/** When something was read: it holds whatever had been written by then. */
export interface ReadTime {
  /** Just before it was asked for, on the monotonic clock. */
  readonly at: number;
  /** What `NewestWrite` had answered then: while it answers the same, nothing has changed. */
  readonly newest: string | undefined;
}

interface Known<T> {
  readonly item: T;
  readonly newest: string | undefined;
}

/**
 * Remembers entries, so that MongoDB need not send them again. Nothing in here may be answered
 * before MongoDB has confirmed it: that nothing was written since, or else of a head that the key's
 * newest segment is the same one, and of an older entry that retention has not reached it.
 */
export class ReadCache {
  readonly #heads: Recent<Known<Head>>;
  readonly #entries: Recent<Known<StoredEntry>>;

  constructor(clock: Clock) {
    const bounds = { clock, weightMax: CACHE_BYTES_MAX };
    this.#heads = new Recent<Known<Head>>({
      ...bounds,
      weigh: ({ item }, name) => bytesOf(item.latest, name),
    });
    this.#entries = new Recent<Known<StoredEntry>>({
      ...bounds,
      weigh: ({ item }, name) => bytesOf(item, name),
    });
  }

  head(key: Key, wanted: WantedHead): Known<Head> | undefined {
    const known = this.#heads.get(key);
    const latest = known?.item.latest;
    if (known === undefined || latest === undefined) return known;
    if (wanted === "value" && latest.value === undefined) return undefined;
    const given = wanted === "info" ? withoutValue(latest) : copyOf(latest);
    return { ...known, item: { ...known.item, latest: given } };
  }

  keepHead(key: Key, head: Head, { at, newest }: ReadTime): void {
    const { latest } = head;
    if (isLarge(latest)) this.#heads.forget(key);
    else this.#heads.set(key, { item: { ...head, latest: latest && copyOf(latest) }, newest }, at);
  }

  /** Another head may have been remembered meanwhile, which this says nothing about. */
  confirmHead(key: Key, head: Head, { at, newest }: ReadTime): void {
    const known = this.#heads.get(key);
    const isSame = known?.item.segment?.start === head.segment?.start;
    if (known !== undefined && isSame) this.#heads.set(key, { ...known, newest }, at);
  }

  /** Whether the key is read at all: then what this process writes to it is worth keeping. */
  knows(key: Key): boolean {
    return this.#heads.get(key) !== undefined;
  }

  entry(place: Place, withValue: boolean): Known<StoredEntry> | undefined {
    const known = this.#entries.get(nameOf(place));
    if (known === undefined || (withValue && known.item.value === undefined)) return undefined;
    return { ...known, item: copyOf(known.item) };
  }

  keepEntry(place: Place, entry: StoredEntry, { at, newest }: ReadTime): void {
    if (!isLarge(entry)) this.#entries.set(nameOf(place), { item: copyOf(entry), newest }, at);
  }
}

/** No key holds U+0000, so nothing before it can be taken for a part of the key. */
function nameOf({ key, incarnation, position }: Place): string {
  return `${position}\0${incarnation}\0${key}`;
}

function isLarge(entry: StoredEntry | undefined): boolean {
  return (entry?.value?.byteLength ?? 0) > VALUE_BYTES_MAX;
}

function bytesOf(entry: StoredEntry | undefined, name: string): number {
  return ITEM_BYTES + 2 * name.length + (entry?.value?.byteLength ?? 0);
}

function withoutValue(entry: StoredEntry): StoredEntry {
  return entry.value === undefined ? entry : { ...entry, value: undefined };
}

/** Whoever gets an entry may write into its bytes; and bytes of a reply keep all of it in memory. */
function copyOf(entry: StoredEntry): StoredEntry {
  return entry.value === undefined ? entry : { ...entry, value: Buffer.from(entry.value) };
}
