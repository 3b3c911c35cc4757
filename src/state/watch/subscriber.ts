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
  #overflowed = false;
  #failure: { readonly error: unknown } | undefined;

  push(event: FeedEvent): void {
    // Others may have the feed followed anew before this reader looks: what came between is missing.
    if (this.#failure !== undefined) return;
    if (this.#events.length >= WAITING_EVENTS_MAX) this.#overflowed = true;
    else if (!this.#overflowed) this.#events.push(event);
    this.#ring();
  }

  /** The hub has lost the feed; `take` throws the reason. */
  fail(error: unknown): void {
    this.#failure = { error };
    this.#ring();
  }

  #ring(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Waits for events and takes all of them; empty when `signal` aborts. */
  async take(signal: AbortSignal): Promise<readonly FeedEvent[] | "too-slow"> {
    while (this.#events.length === 0) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#overflowed) return "too-slow";
      if (signal.aborted) return [];
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = (): void => resolve();
      this.#wake = wake;
      signal.addEventListener("abort", wake, { once: true });
      await promise;
      signal.removeEventListener("abort", wake);
    }
    const events = this.#events;
    this.#events = [];
    return events;
  }
}
