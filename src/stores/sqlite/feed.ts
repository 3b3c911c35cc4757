import { setTimeout as sleep } from "node:timers/promises";

import { StateError } from "../../errors.ts";
import type { Change, ChangeBatch, Cursor } from "../../store.ts";
import type { Log } from "../../telemetry/log.ts";
import { closedError } from "../shared/closed.ts";
import { parsePosition, toPosition } from "../shared/position.ts";
import { classify } from "./classify.ts";
import type { ChangeRow, FeedPage } from "./reader.ts";

/** Changes in one batch. */
const PAGE_ITEMS = 1000;

/** Between two looks for other processes' commits, while somebody follows. */
const POLL_MS = 15;

/** Before a read that failed is tried again. */
const RETRY_MS = 250;

export interface FeedSource {
  feed(after: number, limit: number): FeedPage;
  dataVersion(): number;
}

/**
 * Follows the feed. Reading it from a sequence number is all that brings changes; the bell, which own
 * commits and a poll for those of other processes ring, only says when to look.
 */
export class Feed {
  readonly #source: FeedSource;
  readonly #closing: AbortSignal;
  readonly #log: Log;
  readonly #waiting = new Set<() => void>();
  readonly #followers = new Set<AbortSignal>();
  #timer: NodeJS.Timeout | undefined;
  #dataVersion = -1;
  /** Counts the rings, so that one between a read and a wait is not missed. */
  #rings = 0;

  constructor(source: FeedSource, closing: AbortSignal, log: Log) {
    this.#source = source;
    this.#closing = closing;
    this.#log = log;
  }

  /** Says that something was committed. */
  ring(): void {
    this.#rings += 1;
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** See `Store.changes`. */
  async *follow(after: Cursor | "now", signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const stop = AbortSignal.any([signal, this.#closing]);
    this.#join(stop);
    try {
      let position = after === "now" ? undefined : fromCursor(after);
      let isAnnounced = false;
      while (!stop.aborted) {
        const rings = this.#rings;
        const page = await this.#read(position, stop);
        if (page === undefined) break;
        position ??= page.last;
        const changes = page.rows.map(toChange);
        position = page.rows.at(-1)?.[0] ?? position;
        const caughtUp = position === page.last;
        if (changes.length > 0 || !isAnnounced) {
          isAnnounced ||= caughtUp;
          yield { changes, cursor: [toPosition(position)], caughtUp };
        }
        if (caughtUp) await this.#nextRing(rings, stop);
      }
    } finally {
      this.#leave(stop);
    }
    if (this.#closing.aborted && !signal.aborted) throw closedError();
  }

  /**
   * The page after a position; where there is none yet, the end. Tries again while the file is away;
   * undefined where it was stopped before.
   */
  async #read(position: number | undefined, stop: AbortSignal): Promise<FeedPage | undefined> {
    for (let isFirst = true; !stop.aborted; isFirst = false) {
      try {
        const page = this.#source.feed(position ?? Infinity, PAGE_ITEMS);
        if (position === undefined) return page;
        if (position < page.trimmed || position > page.last) throw expired();
        return page;
      } catch (error) {
        const failure = classify(error);
        if (failure.code !== "store_unavailable") throw failure;
        if (isFirst) this.#log.warn({ err: failure }, "the feed cannot be read; trying again");
        await sleep(RETRY_MS, undefined, { signal: stop }).catch(() => {});
      }
    }
    return undefined;
  }

  #join(stop: AbortSignal): void {
    this.#followers.add(stop);
    this.#timer ??= setInterval(() => this.#poll(), POLL_MS);
    // A follower that is told to stop may never ask for its next batch.
    stop.addEventListener("abort", () => this.#leave(stop), { once: true });
  }

  #leave(stop: AbortSignal): void {
    this.#followers.delete(stop);
    if (this.#followers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #poll(): void {
    let dataVersion;
    try {
      dataVersion = this.#source.dataVersion();
    } catch {
      // The next poll tells; followers read for themselves and see what fails.
      return;
    }
    if (dataVersion === this.#dataVersion) return;
    this.#dataVersion = dataVersion;
    this.ring();
  }

  async #nextRing(rings: number, stop: AbortSignal): Promise<void> {
    if (this.#rings !== rings || stop.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    this.#waiting.add(wake);
    stop.addEventListener("abort", wake, { once: true });
    await promise;
    stop.removeEventListener("abort", wake);
    this.#waiting.delete(wake);
  }
}

function toChange([sequence, key, incarnation, version, deleted, at]: ChangeRow): Change {
  const position = toPosition(sequence);
  return { key, incarnation, version, deleted: deleted === 1, at, partition: 0, position };
}

/** A cursor that is not of this store, such as one from before a migration, has expired too. */
function fromCursor([position = ""]: Cursor): number {
  const sequence = parsePosition(position);
  if (sequence === undefined) throw expired();
  return sequence;
}

function expired(): StateError {
  return new StateError(
    "cursor_expired",
    "The feed does not reach back to this position. List the keys again, then follow from now on.",
  );
}
