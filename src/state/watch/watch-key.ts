import { setTimeout as sleep } from "node:timers/promises";

import type { WatchEvent, WatchOptions } from "../../api.ts";
import type { Key } from "../../key.ts";
import { StateError } from "../../errors.ts";
import type { Change, Cursor, EntryInfo, EntryRef } from "../../store.ts";
import { checkVersion, invalid } from "../input.ts";
import type { Readers } from "../readers.ts";
import { isBehind } from "./cursor.ts";
import type { Subscriber } from "./subscriber.ts";
import type { WatchParts } from "./watch-prefix.ts";

/** Entries read at once while catching up. */
const PAGE_ITEMS = 100;

/** How often a key's latest version is polled where the back end has no feed, in milliseconds. */
const POLL_MS = 200;

/** Whether the reader of a watch wants no more. */
type Reader = Pick<AbortSignal, "aborted">;

/** Where a reader stands in the life of a key. */
interface Place {
  /** The incarnation it follows; undefined before it has seen any. */
  incarnation: string | undefined;
  version: number;
  /** True once it has been told that this incarnation was deleted. */
  ended: boolean;
}

/**
 * Follows one key. The history is read from the reader's place to the present, whatever its age; from
 * then on the hub says what moved. The two overlap, and the place decides what is new.
 */
export class KeyWatch {
  readonly #parts: WatchParts;
  readonly #readers: Readers;
  readonly #key: Key;
  readonly #values: boolean;
  readonly #place: Place;
  readonly #startsAtLatest: boolean;
  /** Up to here the hub's changes are of lives that the history has shown to be over. */
  #known: Cursor = [];
  /** A life that is over, of which the hub's delete is still to come. */
  #over: string | undefined;

  constructor(parts: WatchParts, readers: Readers, key: Key, options: WatchOptions) {
    this.#parts = parts;
    this.#readers = readers;
    this.#key = key;
    this.#values = options.values === true;
    const { lastEventId, after } = options;
    this.#startsAtLatest = lastEventId === undefined && after === undefined;
    if (lastEventId !== undefined) this.#place = parseId(lastEventId);
    else {
      const version = after === undefined || after === 0 ? 0 : checkVersion("after", after);
      this.#place = { incarnation: undefined, version, ended: false };
    }
  }

  async *events(signal: AbortSignal | undefined): AsyncGenerator<WatchEvent> {
    const { hub, store } = this.#parts;
    if (store.info.watch === "none") {
      yield* this.#poll(hub.untilClosed(signal));
      return;
    }
    for (let isFirst = true; ; isFirst = false) {
      // Subscribed before the history is read: what is written meanwhile waits here.
      const { subscriber, leave } = hub.subscribeKey(this.#key, signal);
      try {
        if (!subscriber.aborted) await hub.start();
        if (subscriber.aborted) return;
        yield* this.#join(subscriber);
        if (isFirst) yield { type: "caught-up", id: this.#id() };
        yield* this.#follow(subscriber);
        return;
      } catch (error) {
        // The hub was behind what is kept of the feed. The history has what it missed.
        if (!isExpired(error)) throw error;
      } finally {
        leave();
      }
    }
  }

  async *#follow(subscriber: Subscriber): AsyncGenerator<WatchEvent> {
    for (;;) {
      const events = await subscriber.take();
      if (subscriber.aborted) return;
      if (events === "too-slow") {
        yield { type: "too-slow", id: this.#id() };
        return;
      }
      for (const { change } of events) yield* this.#advance(change, subscriber);
    }
  }

  /**
   * Catches up, and finds out which of the hub's changes are news. While a life of the key goes on, its
   * incarnation and versions tell. Where there is none, the hub may still be behind and bring changes
   * of one that is over: what lies before the end of the feed, as it is now, is then passed by.
   */
  async *#join(subscriber: Subscriber): AsyncGenerator<WatchEvent> {
    this.#known = [];
    this.#over = undefined;
    yield* this.#catchUp(subscriber);
    if (this.#isAlive()) return;
    const present = await subscriber.unlessAborted(this.#parts.hub.present());
    // What was put before that end is not passed by: either it is found now, or it is over as well.
    yield* this.#catchUp(subscriber);
    if (!this.#isAlive()) this.#known = present ?? [];
  }

  async *#poll(signal: AbortSignal): AsyncGenerator<WatchEvent> {
    yield* this.#catchUp(signal);
    yield { type: "caught-up", id: this.#id() };
    while (!signal.aborted) {
      await sleep(POLL_MS, undefined, { signal }).catch(() => {});
      if (!signal.aborted) yield* this.#catchUp(signal);
    }
  }

  /** Yields what the history has beyond the reader's place, and moves the place to the present. */
  async *#catchUp(reader: Reader): AsyncGenerator<WatchEvent> {
    const place = this.#place;
    const latest = await this.#latest();
    if (this.#startsAtLatest && place.incarnation === undefined && !place.ended) {
      if (latest !== undefined) Object.assign(place, toPlace(latest));
      else place.ended = true;
      return;
    }
    if (place.incarnation !== undefined && place.incarnation !== latest?.incarnation) {
      yield* this.#end();
    }
    if (latest === undefined) {
      // Also for a caller with only a version: whatever life that was of, the next is another.
      place.ended = true;
      return;
    }
    if (place.incarnation === undefined || place.ended) {
      // A caller ahead of this life of the key has seen an earlier one.
      const version = place.ended ? 0 : Math.min(place.version, latest.version);
      Object.assign(place, { incarnation: latest.incarnation, version, ended: false });
    }
    // A back end that does not sync every write may have lost the latest ones.
    place.version = Math.min(place.version, latest.version);
    while (!reader.aborted && place.version < latest.version) {
      const page = await this.#parts.store.history(this.#key, {
        order: "oldest-first",
        after: place.version,
        limit: PAGE_ITEMS,
      });
      const current = page.filter((info) => info.incarnation === latest.incarnation);
      // Deleted since: what is left to tell, the hub's events or the next look tell.
      if (current.length === 0) return;
      for (const info of current) {
        yield await this.#toEvent(this.#toChange(info));
        place.version = info.version;
      }
    }
  }

  /** Yields what a change adds to the reader's place: nothing where the history has told it already. */
  async *#advance(change: Change, reader: Reader): AsyncGenerator<WatchEvent> {
    const place = this.#place;
    const { incarnation, version, deleted } = change;
    const isKnown = isBehind(change, this.#known);
    if (isKnown || incarnation === this.#over) {
      // A life that began before the known end of the feed is over with all that is still to come of it.
      this.#over = deleted ? undefined : incarnation;
      return;
    }
    if (!this.#isAlive()) {
      if (deleted) return;
      Object.assign(place, { incarnation, version: version - 1, ended: false });
    }
    // While a life of the key goes on, another life's change can only be from before it.
    if (incarnation !== place.incarnation) return;
    if (deleted) {
      if (place.version > 0) place.version = Math.max(place.version, version);
      yield* this.#end();
      return;
    }
    if (version <= place.version) return;
    if (version > place.version + 1) {
      yield* this.#catchUp(reader);
      if (place.ended) this.#over = incarnation;
    }
    if (incarnation !== place.incarnation || version !== place.version + 1) return;
    yield await this.#toEvent(change);
    place.version = version;
  }

  #isAlive(): boolean {
    return this.#place.incarnation !== undefined && !this.#place.ended;
  }

  *#end(): Generator<WatchEvent> {
    if (this.#place.ended) return;
    this.#place.ended = true;
    const { incarnation = "", version } = this.#place;
    // A life that was over before anything of it could be told ends untold.
    if (version === 0) return;
    yield { type: "delete", id: this.#id(), key: this.#key, incarnation, version };
  }

  async #latest(): Promise<EntryInfo | undefined> {
    const found = await this.#readers.read({ key: this.#key, select: "latest", value: false });
    return found === "trimmed" ? undefined : found;
  }

  #toEvent(change: Change): Promise<WatchEvent> {
    return this.#parts.details.toEvent(change, formatId(toPlace(change)), this.#values);
  }

  /** An entry of the history as the feed would have told it. */
  #toChange({ incarnation, version, createdAt }: EntryInfo): Change {
    const where = { key: this.#key, partition: 0, position: "" };
    return { ...where, incarnation, version, deleted: false, at: createdAt };
  }

  #id(): string {
    return formatId(this.#place);
  }
}

function isExpired(error: unknown): boolean {
  return error instanceof StateError && error.code === "cursor_expired";
}

function toPlace({ incarnation, version }: EntryRef): Place {
  return { incarnation, version, ended: false };
}

/** `<incarnation>.<version>`, with a trailing `.end` after its delete; `.0` before any. */
function formatId({ incarnation, version, ended }: Place): string {
  return `${incarnation ?? ""}.${version}${ended ? ".end" : ""}`;
}

function parseId(id: string): Place {
  const match = /^([\w-]{0,64})\.(\d{1,15})(\.end)?$/.exec(id);
  if (match === null) {
    throw invalid("Last-Event-ID", `"Last-Event-ID" is the id of an event of this watch.`);
  }
  const [, incarnation = "", version, end] = match;
  return {
    incarnation: incarnation === "" ? undefined : incarnation,
    version: Number(version),
    ended: end !== undefined,
  };
}
