import type { Change } from "../../store.ts";

/** A change, and the id of its event: the cursor of the feed just after it. */
export interface FeedEvent {
  readonly change: Change;
  /** Empty where only readers of single keys wait for it: their events have ids of their own. */
  readonly id: string;
}

/** Events that may wait for a reader before it is cut off as too slow. */
export const WAITING_EVENTS_MAX = 1_000;

/**
 * A reader's place at the hub: events wait here until the reader takes them. The queue is bounded; a
 * reader that lets it overflow gets what waited, and then is told that it was too slow.
 */
export class Subscriber {
  #events: FeedEvent[] = [];
  #wake: (() => void) | undefined;
  #isCalled = false;
  #overflowed = false;
  #failure: { readonly error: unknown } | undefined;
  #aborted = false;
  #onAbort: (() => void) | undefined;

  /** True once its reader wants no more, or the engine has been closed. */
  get aborted(): boolean {
    return this.#aborted;
  }

  abort(): void {
    this.#aborted = true;
    this.#onAbort?.();
    this.wake();
  }

  /** What `promise` answers; undefined where this is aborted before. */
  async unlessAborted<T>(promise: Promise<T>): Promise<T | undefined> {
    if (this.#aborted) return undefined;
    const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
    const onAbort = (): void => resolve(undefined);
    this.#onAbort = onAbort;
    return await Promise.race([promise, aborted]);
  }

  /** Answers whether the reader waits for it and is still to be woken. */
  push(event: FeedEvent): boolean {
    // Others may have the feed followed anew before this reader looks: what came between is missing.
    if (this.#failure !== undefined) return false;
    if (this.#events.length >= WAITING_EVENTS_MAX) this.#overflowed = true;
    else if (!this.#overflowed) this.#events.push(event);
    if (this.#wake === undefined || this.#isCalled) return false;
    this.#isCalled = true;
    return true;
  }

  /** The hub has lost the feed; `take` throws the reason once its reader is woken. */
  fail(error: unknown): void {
    this.#failure = { error };
  }

  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
    this.#isCalled = false;
  }

  /** Waits for events and takes all of them; empty when this is aborted. */
  async take(): Promise<readonly FeedEvent[] | "too-slow"> {
    while (this.#events.length === 0) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#overflowed) return "too-slow";
      if (this.#aborted) return [];
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    const events = this.#events;
    this.#events = [];
    return events;
  }
}
