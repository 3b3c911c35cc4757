import { StateError } from "../errors.ts";
import type { Clock } from "../telemetry/clock.ts";

export interface BatcherOptions<Item, Result> {
  /** Runs one batch and answers item by item, in order. A rejection is the answer of every item. */
  readonly run: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** How many batches may be in flight at once. */
  readonly concurrency: number;
  /** What one batch may hold; asked anew for each, since a good number can depend on what was seen. */
  readonly batchItemsMax: () => number;
  readonly batchBytesMax: number;
  /** What may wait before `add` answers `overloaded`. */
  readonly queueItemsMax: number;
  readonly queueBytesMax: number;
  /** How long an item may take from `add` to its answer, in milliseconds. */
  readonly timeoutMs: number;
  /** The failure of an item whose time ran out while its batch was in flight. */
  readonly inFlightTimeout: () => StateError;
  readonly clock: Clock;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly bytes: number;
  readonly deadline: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** With fewer items, what a batch costs of itself is more than what two halves gain. */
const HALVED_ITEMS_MIN = 48;

/** How often items are checked for their deadline, in milliseconds. */
const DEADLINE_CHECK_MS = 50;

/**
 * Gathers concurrent calls into batches: while batches are in flight, items wait; when one returns,
 * the next goes with all that has gathered, before the first is answered. An idle batcher sends at
 * the end of the current turn of the event loop, so that requests which arrived together travel
 * together and a lone one waits for nothing. Every item is answered by its deadline, whatever its
 * batch does.
 *
 * Where two batches may be in flight and none is, many items go in two halves, a turn apart. As one
 * they would be answered as one, their clients would ask again as one, and store and process would
 * wait for each other by turns from then on; two halves stay apart, and each is served while the
 * store works on the other.
 */
export class Batcher<Item, Result> {
  readonly #options: BatcherOptions<Item, Result>;
  /** First in, first out. */
  readonly #queue: Waiting<Item, Result>[] = [];
  #queuedBytes = 0;
  /** Not a Set: what one of changing members leaves behind keeps these alive for V8 (0020). */
  readonly #inFlight: (readonly Waiting<Item, Result>[])[] = [];
  #flushPlanned = false;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];

  constructor(options: BatcherOptions<Item, Result>) {
    this.#options = options;
  }

  /** Items that wait for a batch of their own. */
  get queued(): number {
    return this.#queue.length;
  }

  add(item: Item, bytes: number): Promise<Result> {
    const { queueItemsMax, queueBytesMax, timeoutMs, clock } = this.#options;
    if (this.queued >= queueItemsMax || this.#queuedBytes + bytes > queueBytesMax) {
      return Promise.reject(overloaded());
    }
    return new Promise<Result>((resolve, reject) => {
      this.#queue.push({ item, bytes, deadline: clock.monotonic() + timeoutMs, resolve, reject });
      this.#queuedBytes += bytes;
      this.#planFlush();
    });
  }

  /** Answers when nothing is waiting or in flight. */
  async idle(): Promise<void> {
    if (this.#isIdle()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#idle.push(resolve);
    await promise;
  }

  #isIdle(): boolean {
    return this.queued === 0 && this.#inFlight.length === 0;
  }

  #planFlush(): void {
    if (this.#flushPlanned || this.#inFlight.length >= this.#options.concurrency) return;
    this.#flushPlanned = true;
    setImmediate(() => {
      this.#flushPlanned = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.queued > 0 && this.#inFlight.length < this.#options.concurrency) {
      if (this.#isHalved()) {
        void this.#send(this.#takeBatch(Math.ceil(this.queued / 2)));
        return this.#planFlush();
      }
      void this.#send(this.#takeBatch(this.queued));
    }
  }

  #isHalved(): boolean {
    const canFollow = this.#options.concurrency > 1 && this.#inFlight.length === 0;
    return canFollow && this.queued >= HALVED_ITEMS_MIN;
  }

  #takeBatch(wanted: number): readonly Waiting<Item, Result>[] {
    const itemsMax = Math.min(wanted, this.#options.batchItemsMax());
    let count = 0;
    let bytes = 0;
    for (const waiting of this.#queue) {
      if (count === itemsMax) break;
      if (count > 0 && bytes + waiting.bytes > this.#options.batchBytesMax) break;
      bytes += waiting.bytes;
      count += 1;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count);
  }

  async #send(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    this.#inFlight.push(batch);
    this.#watchDeadlines();
    const settle = await this.#run(batch);
    this.#inFlight.splice(this.#inFlight.indexOf(batch), 1);
    // The next batch goes first: the store works on it while these answers are sent.
    this.#flush();
    settle();
    if (this.#isIdle()) this.#settleIdle();
  }

  /** Runs a batch, and answers what tells its items how it went. */
  async #run(batch: readonly Waiting<Item, Result>[]): Promise<() => void> {
    try {
      const results = await this.#options.run(batch.map((waiting) => waiting.item));
      // The contract of `run`: one result an item, in order.
      return () => batch.forEach((waiting, index) => waiting.resolve(results[index] as Result));
    } catch (error) {
      return () => batch.forEach((waiting) => waiting.reject(error));
    }
  }

  #settleIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #watchDeadlines(): void {
    this.#deadlineTimer ??= setInterval(() => this.#expire(), DEADLINE_CHECK_MS).unref();
  }

  /** Rejects what is past its deadline. A late answer of a batch then falls on deaf promises. */
  #expire(): void {
    if (this.#isIdle()) {
      clearInterval(this.#deadlineTimer);
      this.#deadlineTimer = undefined;
      return;
    }
    const now = this.#options.clock.monotonic();
    for (const batch of this.#inFlight) {
      for (const waiting of batch) {
        if (waiting.deadline > now) break;
        waiting.reject(this.#options.inFlightTimeout());
      }
    }
    const kept = this.#queue.findIndex((waiting) => waiting.deadline > now);
    const expired = this.#queue.splice(0, kept === -1 ? this.queued : kept);
    for (const waiting of expired) {
      this.#queuedBytes -= waiting.bytes;
      waiting.reject(overloaded());
    }
    if (this.#isIdle()) this.#settleIdle();
  }
}

function overloaded(): StateError {
  return new StateError(
    "overloaded",
    "More requests are waiting for the store than it can serve. Nothing was written; try again.",
  );
}
