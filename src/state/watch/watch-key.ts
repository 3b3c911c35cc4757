import { setTimeout as sleep } from "node:timers/promises";

import type { WatchEvent, WatchOptions } from "../../api.ts";
import type { Key } from "../../key.ts";
import type { Change, EntryInfo, EntryRef } from "../../store.ts";
import { checkVersion, invalid } from "../input.ts";
import type { Readers } from "../readers.ts";
import type { WatchParts } from "./watch-prefix.ts";

/** Entries read at once while catching up. */
const PAGE_ITEMS = 100;

/** How often a key's latest version is polled where the back end has no feed, in milliseconds. */
const POLL_MS = 200;

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

  async *events(signal: AbortSignal): AsyncGenerator<WatchEvent> {
    const { hub, store } = this.#parts;
    if (store.info.watch === "none") {
      yield* this.#poll(signal);
      return;
    }
    await hub.start();
    // Subscribed before the history is read: what is written meanwhile waits here.
    const { subscriber, leave } = hub.subscribeKey(this.#key);
    try {
      yield* this.#catchUp(signal);
      yield { type: "caught-up", id: this.#id() };
      for (;;) {
        const events = await subscriber.take(signal);
        if (signal.aborted) return;
        if (events === "too-slow") {
          yield { type: "too-slow", id: this.#id() };
          return;
        }
        for (const { change } of events) yield* this.#advance(change, signal);
      }
    } finally {
      leave();
    }
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
  async *#catchUp(signal: AbortSignal): AsyncGenerator<WatchEvent> {
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
    if (latest === undefined) return;
    if (place.incarnation === undefined || place.ended) {
      // A caller ahead of this life of the key has seen an earlier one.
      const version = place.ended ? 0 : Math.min(place.version, latest.version);
      Object.assign(place, { incarnation: latest.incarnation, version, ended: false });
    }
    while (!signal.aborted && place.version < latest.version) {
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
  async *#advance(change: Change, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    const place = this.#place;
    if (change.incarnation !== place.incarnation) {
      // While a life of the key goes on, another life's change can only be from before it.
      if (place.incarnation !== undefined && !place.ended) return;
      Object.assign(place, { incarnation: change.incarnation, version: 0, ended: false });
    }
    if (place.ended) return;
    if (change.deleted) {
      yield* this.#end();
      return;
    }
    if (change.version <= place.version) return;
    if (change.version > place.version + 1) yield* this.#catchUp(signal);
    if (change.incarnation !== place.incarnation || change.version !== place.version + 1) return;
    yield await this.#toEvent(change);
    place.version = change.version;
  }

  *#end(): Generator<WatchEvent> {
    if (this.#place.ended) return;
    this.#place.ended = true;
    const { incarnation = "", version } = this.#place;
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
