import { setMaxListeners } from "node:events";
import { setImmediate as nextTurn } from "node:timers/promises";

import type { Key } from "../../key.ts";
import type { Change, ChangeBatch, Cursor, Store } from "../../store.ts";
import type { Log } from "../../telemetry/log.ts";
import { encodeCursor, hasReached, isBehind, laterOf } from "./cursor.ts";
import { Subscriber, type FeedEvent } from "./subscriber.ts";

/** Recent changes kept for readers that come back after a short break. */
const RING_ITEMS_MAX = 10_000;

/** How long the feed is still followed after its last reader has left, in milliseconds. */
const LINGER_MS = 10_000;

/** Keys whose last version is remembered for the check that none was missed. */
const CHECKED_KEYS_MAX = 10_000;

/** Readers woken in a turn of the event loop: thousands may wait for one change. */
const WOKEN_AT_A_TIME = 32;

/** A reader's place for the changes of a key. */
export interface KeyPlace {
  readonly subscriber: Subscriber;
  readonly leave: () => void;
}

interface PrefixSubscription {
  readonly prefix: string;
  readonly subscriber: Subscriber;
  /** What the reader already has; undefined once the hub has passed it. */
  ahead: Cursor | undefined;
}

/** A reader's place in the feed of a prefix. */
export interface PrefixPlace extends KeyPlace {
  /** What the reader has missed, up to now. */
  readonly missed: readonly FeedEvent[];
  /** The cursor after `missed`. */
  readonly cursor: Cursor;
}

/**
 * The one follower of the store's feed in this process. It keeps a ring of recent changes and hands
 * each change to the readers it concerns. It runs while there are readers.
 */
export class Hub {
  readonly #store: Store;
  readonly #log: Log;
  readonly #byKey = new Map<Key, Set<Subscriber>>();
  readonly #byPrefix = new Set<PrefixSubscription>();
  #ring: Change[] = [];
  /** The cursor just before the ring's first change, and just after its last. */
  #ringStart: Cursor = [];
  #cursor: Cursor = [];
  #running: { readonly started: Promise<void>; readonly stop: AbortController } | undefined;
  /** Those who wait for the start: most subscribe right after it. */
  #starting = 0;
  #linger: NodeJS.Timeout | undefined;
  readonly #lastSeen = new Map<Key, Change>();
  #missed = 0;
  /** The next look at where the feed ends, while one is under way; all who ask meanwhile share it. */
  #nextLook: Promise<Cursor> | undefined;
  #lastLook: Promise<unknown> = Promise.resolve();
  #looking = new AbortController();
  readonly #closing = new AbortController();

  constructor(store: Store, log: Log) {
    this.#store = store;
    this.#log = log;
    // Where there is no feed, each reader listens to it.
    setMaxListeners(0, this.#closing.signal);
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** A signal that aborts when `signal` does, or this is closed. Places, which do the same, cost less. */
  untilClosed(signal: AbortSignal | undefined): AbortSignal {
    const closing = this.#closing.signal;
    return signal === undefined ? closing : AbortSignal.any([signal, closing]);
  }

  /** Changes that a feed should have brought and did not. Versions are dense, so this must stay 0. */
  get missed(): number {
    return this.#missed;
  }

  get readers(): number {
    let count = this.#byPrefix.size;
    for (const subscribers of this.#byKey.values()) count += subscribers.size;
    return count;
  }

  /**
   * Answers once the hub follows the feed: what is committed from then on reaches subscribers. Answers
   * too where the engine was closed before that.
   */
  async start(): Promise<void> {
    this.#starting += 1;
    try {
      await this.#startOnce();
    } finally {
      this.#starting -= 1;
      // Who came for the start may not stay.
      this.#lingerIfUnused();
    }
  }

  async #startOnce(): Promise<void> {
    if (this.isClosed) return;
    if (this.#running === undefined) {
      const { promise: started, resolve, reject } = Promise.withResolvers<void>();
      const stop = new AbortController();
      stop.signal.addEventListener("abort", () => resolve(), { once: true });
      this.#running = { started, stop };
      void this.#follow(stop.signal, resolve).catch((error: unknown) => {
        reject(error);
        // One that was stopped has no readers any more: they are another's.
        if (!stop.signal.aborted) this.#fail(error);
      });
    }
    await this.#running.started;
  }

  close(): void {
    this.#closing.abort();
    for (const subscriber of this.#subscribers()) subscriber.abort();
    this.#stop();
  }

  #stop(): void {
    clearTimeout(this.#linger);
    this.#running?.stop.abort();
    this.#running = undefined;
    this.#looking.abort();
    this.#looking = new AbortController();
  }

  /**
   * Where the feed of the back end ends, which this process's follower may not have reached yet: at or
   * after all that was acknowledged before the call.
   */
  present(): Promise<Cursor> {
    if (this.#nextLook !== undefined) return this.#nextLook;
    const look = this.#lastLook.then(() => {
      this.#nextLook = undefined;
      return this.#findEnd();
    });
    this.#nextLook = look;
    // Those who asked hear of a failure; the next look starts in any case.
    this.#lastLook = look.catch(() => {});
    return look;
  }

  async #findEnd(): Promise<Cursor> {
    for await (const { cursor } of this.#store.changes("now", this.#looking.signal)) return cursor;
    return this.#cursor;
  }

  subscribeKey(key: Key, signal: AbortSignal | undefined): KeyPlace {
    const subscribers = this.#byKey.get(key) ?? new Set();
    const { subscriber, leave } = this.#newPlace(signal, () => {
      subscribers.delete(subscriber);
      if (subscribers.size === 0 && this.#byKey.get(key) === subscribers) this.#byKey.delete(key);
    });
    this.#byKey.set(key, subscribers.add(subscriber));
    return { subscriber, leave };
  }

  /** A place until `signal` or the hub itself ends it; `remove` is called when it is left. */
  #newPlace(signal: AbortSignal | undefined, remove: () => void): KeyPlace {
    const subscriber = new Subscriber();
    const abort = (): void => subscriber.abort();
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted === true || this.isClosed) abort();
    const leave = (): void => {
      signal?.removeEventListener("abort", abort);
      remove();
      this.#lingerIfUnused();
    };
    return { subscriber, leave };
  }

  /** Whether a cursor has as many partitions as this feed; what each position means only stores know. */
  isOurs(cursor: Cursor): boolean {
    return cursor.length === this.#cursor.length;
  }

  /**
   * Whether this process has seen each position of a cursor. What it has not seen may be ahead of it, or
   * of another history, before the store lost a part of its own or was restored: only the store can tell.
   */
  isKnown(cursor: Cursor): boolean {
    const unknown = new Set<number>();
    cursor.forEach((position, partition) => {
      const ends = [this.#ringStart[partition], this.#cursor[partition]];
      if (!ends.includes(position)) unknown.add(partition);
    });
    for (const { partition, position } of unknown.size === 0 ? [] : this.#ring) {
      if (cursor[partition] === position) unknown.delete(partition);
    }
    return unknown.size === 0;
  }

  /**
   * Subscribes from a cursor on, or from now on. Undefined where the ring does not reach back to
   * `after`, or the feed is not followed now: the caller then reads the feed itself, and asks again.
   */
  subscribePrefix(
    prefix: string,
    after: Cursor | undefined,
    signal: AbortSignal | undefined,
  ): PrefixPlace | undefined {
    if (this.#running === undefined) return undefined;
    if (after !== undefined && !hasReached(after, this.#ringStart)) return undefined;
    const missed = after === undefined ? [] : this.#since(prefix, after);
    const cursor = after === undefined ? this.#cursor : laterOf(this.#cursor, after);
    const ahead = hasReached(this.#cursor, cursor) ? undefined : cursor;
    const place = this.#newPlace(signal, () => this.#byPrefix.delete(subscription));
    const subscription: PrefixSubscription = { prefix, subscriber: place.subscriber, ahead };
    this.#byPrefix.add(subscription);
    return { ...place, missed, cursor };
  }

  /** The ring's changes of a prefix after a cursor. */
  #since(prefix: string, after: Cursor): readonly FeedEvent[] {
    let position = laterOf(this.#ringStart, after);
    const events: FeedEvent[] = [];
    for (const change of this.#ring) {
      if (isBehind(change, after)) continue;
      position = position.with(change.partition, change.position);
      if (change.key.startsWith(prefix)) events.push({ change, id: encodeCursor(position) });
    }
    return events;
  }

  #isUnused(): boolean {
    return this.#byKey.size === 0 && this.#byPrefix.size === 0 && this.#starting === 0;
  }

  #lingerIfUnused(): void {
    if (!this.#isUnused() || this.#running === undefined) return;
    clearTimeout(this.#linger);
    // Somebody may have come meanwhile.
    this.#linger = setTimeout(() => this.#isUnused() && this.#stop(), LINGER_MS).unref();
  }

  async #follow(signal: AbortSignal, onStarted: () => void): Promise<void> {
    let isFirst = true;
    for await (const batch of this.#store.changes("now", signal)) {
      if (signal.aborted) return;
      if (isFirst) this.#begin(batch);
      isFirst = false;
      const called = batch.changes.flatMap((change) => this.#deliver(change));
      this.#cursor = laterOf(this.#cursor, batch.cursor);
      onStarted();
      await wakeAll(called);
      // Lets readers run between two batches of a feed that never pauses.
      await nextTurn();
    }
    if (!signal.aborted) throw new Error("the feed ended by itself");
  }

  #begin(batch: ChangeBatch): void {
    const [first] = batch.changes;
    if (first !== undefined) throw new Error("a feed from now on starts with an empty batch");
    this.#ring = [];
    this.#ringStart = batch.cursor;
    this.#cursor = batch.cursor;
    this.#lastSeen.clear();
  }

  /** Answers whom to wake. */
  #deliver(change: Change): Subscriber[] {
    this.#check(change);
    this.#cursor = this.#cursor.with(change.partition, change.position);
    this.#ring.push(change);
    if (this.#ring.length > RING_ITEMS_MAX) this.#shortenRing();
    // Made once for all readers of prefixes, of which there may be thousands.
    const id = this.#byPrefix.size > 0 ? encodeCursor(this.#cursor) : "";
    const event = { change, id };
    const called: Subscriber[] = [];
    for (const subscriber of this.#byKey.get(change.key) ?? []) {
      if (subscriber.push(event)) called.push(subscriber);
    }
    for (const subscription of this.#byPrefix) {
      const own = this.#eventFor(subscription, event);
      if (own !== undefined && subscription.subscriber.push(own)) {
        called.push(subscription.subscriber);
      }
    }
    return called;
  }

  /** An event as a reader of a prefix gets it, where it does. */
  #eventFor(subscription: PrefixSubscription, event: FeedEvent): FeedEvent | undefined {
    const { ahead } = subscription;
    if (ahead !== undefined) {
      if (hasReached(this.#cursor, ahead)) subscription.ahead = undefined;
      if (isBehind(event.change, ahead)) return undefined;
    }
    if (!event.change.key.startsWith(subscription.prefix)) return undefined;
    if (ahead === undefined) return event;
    return { change: event.change, id: encodeCursor(laterOf(this.#cursor, ahead)) };
  }

  /** Drops the older half of the ring, so that the cost per change stays constant. */
  #shortenRing(): void {
    const dropped = this.#ring.splice(0, RING_ITEMS_MAX / 2);
    for (const change of dropped) {
      this.#ringStart = this.#ringStart.with(change.partition, change.position);
    }
  }

  #check(change: Change): void {
    const last = this.#lastSeen.get(change.key);
    const isSameLife = last?.incarnation === change.incarnation;
    if (!change.deleted && isSameLife && change.version !== last.version + 1) {
      this.#missed += 1;
      this.#log.error(
        { key: change.key, after: last.version, got: change.version },
        "the feed has missed a version",
      );
    }
    this.#lastSeen.delete(change.key);
    this.#lastSeen.set(change.key, change);
    if (this.#lastSeen.size > CHECKED_KEYS_MAX) {
      for (const oldest of this.#lastSeen.keys()) {
        this.#lastSeen.delete(oldest);
        break;
      }
    }
  }

  /** Tells every reader that the feed is lost; they end, and come back with their last position. */
  #fail(error: unknown): void {
    this.#running = undefined;
    const all = this.#subscribers();
    for (const subscriber of all) subscriber.fail(error);
    void wakeAll(all);
  }

  #subscribers(): readonly Subscriber[] {
    const ofKeys = [...this.#byKey.values()].flatMap((subscribers) => [...subscribers]);
    return [...ofKeys, ...Array.from(this.#byPrefix, ({ subscriber }) => subscriber)];
  }
}

/** In pieces: each reader that is woken makes an event of what it finds, and sends it to its client. */
async function wakeAll(subscribers: readonly Subscriber[]): Promise<void> {
  for (let start = 0; start < subscribers.length; start += WOKEN_AT_A_TIME) {
    if (start > 0) await nextTurn();
    const some = subscribers.slice(start, start + WOKEN_AT_A_TIME);
    for (const subscriber of some) subscriber.wake();
  }
}
