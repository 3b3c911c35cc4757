import { setTimeout as sleep } from "node:timers/promises";

import type { WatchEvent } from "../api.ts";
import { StateClient } from "../client/index.ts";
import type { EntryRef } from "../store.ts";
import { pick, type Random } from "./random.ts";
import type { Delivery, Violation } from "./record.ts";
import { monotonicNs } from "./recording-client.ts";

/** Between two connections that brought nothing, in milliseconds. */
const RECONNECT_MS = 100;

/** How many events one connection is read for, before the watcher drops it and resumes. */
const EVENTS_PER_CONNECTION_MAX = 300;

export interface RecordingWatcherOptions {
  readonly name: string;
  readonly servers: readonly string[];
  readonly prefix: string;
  readonly random: Random;
}

/**
 * Follows a prefix from before its first write, drops its connection at random, and resumes on any
 * server. What it is told, per key, must be each version once and in order.
 */
export class RecordingWatcher {
  readonly deliveries: Delivery[] = [];
  readonly violations: Violation[] = [];
  readonly #options: RecordingWatcherOptions;
  readonly #stop = new AbortController();
  readonly #latest = new Map<string, Delivery>();
  readonly #ready = Promise.withResolvers<void>();
  #lastEventId: string | undefined;
  #done: Promise<void> | undefined;
  #resumes = 0;

  constructor(options: RecordingWatcherOptions) {
    this.#options = options;
  }

  get resumes(): number {
    return this.#resumes;
  }

  /** Answers once it follows: no later write is missed. */
  async start(): Promise<void> {
    this.#done = this.#run();
    await this.#ready.promise;
  }

  /** Takes nothing more from the moment of this call on. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  /** True where this entry, or the absence of one, is what it was told last of a key. */
  hasReached(key: string, latest: EntryRef | undefined): boolean {
    const told = this.#latest.get(key);
    if (told === undefined || told.deleted) return latest === undefined;
    return told.incarnation === latest?.incarnation && told.version === latest.version;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#followOnce();
      } catch (error) {
        if (!signal.aborted && isLost(error)) {
          this.#report("a watcher could not resume", error);
          return;
        }
      }
      this.#resumes += 1;
      await sleep(RECONNECT_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #followOnce(): Promise<void> {
    const { random, servers, prefix } = this.#options;
    const client = new StateClient(pick(random, servers));
    let left = 1 + Math.floor(random() * EVENTS_PER_CONNECTION_MAX);
    try {
      const events = client.watchPrefix({
        prefix,
        signal: this.#stop.signal,
        ...(this.#lastEventId === undefined ? {} : { lastEventId: this.#lastEventId }),
      });
      for await (const event of events) {
        this.#take(event);
        left -= 1;
        if (left === 0) return;
      }
    } finally {
      await client.close();
    }
  }

  #take(event: WatchEvent): void {
    if (this.#stop.signal.aborted) return;
    this.#lastEventId = event.id;
    if (event.type === "caught-up") this.#ready.resolve();
    if (event.type !== "put" && event.type !== "delete") return;
    const { key, incarnation, version } = event;
    const deleted = event.type === "delete";
    const delivery = { key, incarnation, version, deleted, at: monotonicNs() };
    const before = this.#latest.get(key);
    if (!follows(delivery, before)) this.#report("an event does not follow", before, delivery);
    this.#latest.set(key, delivery);
    this.deliveries.push(delivery);
  }

  #report(message: string, ...witness: readonly unknown[]): void {
    const { name } = this.#options;
    this.violations.push({ key: "", kind: "feed", message: `${name}: ${message}`, witness });
  }
}

/** Whether an event is the one that comes after another of its key. */
function follows(event: Delivery, before: Delivery | undefined): boolean {
  if (before === undefined || before.deleted) {
    return !event.deleted && event.version === 1 && event.incarnation !== before?.incarnation;
  }
  if (event.incarnation !== before.incarnation) return false;
  return event.version === before.version + (event.deleted ? 0 : 1);
}

/** What no reconnecting will mend: the feed does not reach back to the position. */
function isLost(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "cursor_expired";
}
