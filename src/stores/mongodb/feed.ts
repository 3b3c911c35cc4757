import { Timestamp, type ChangeStream } from "mongodb";
import { setTimeout as sleep } from "node:timers/promises";
import { StateError } from "../../errors.ts";
import type { ChangeBatch, Cursor } from "../../store.ts";
import type { Clock } from "../../telemetry/clock.ts";
import { classify, isHistoryLost } from "./classify.ts";
import { DURABLE, retryDelayMs, type Database } from "./database.ts";
import { Deadline } from "./deadline.ts";
import {
  BATCH_ITEMS,
  ChangeCounter,
  EventReader,
  fromPosition,
  PIPELINE,
  secondsOf,
  TIME_DIGITS,
  timeAfter,
  timeOfToken,
  toTime,
} from "./feed-events.ts";
import { readMeta } from "./schema.ts";

/** How long MongoDB holds an idle request for changes. */
const AWAIT_MS = 1000;

/** The end of what is kept moves on in steps of this part of the retention. */
const RETENTION_STEPS = 24;

/** How much newer an idle follower's cursor gets before it is told, in seconds. */
const BOOKMARK_S = 10;

/**
 * A position this much ahead of MongoDB's time, in seconds, is of another database, and nothing would be
 * told until then. A new primary may be a little behind the time that the last one told.
 */
const AHEAD_S_MAX = 60;

/**
 * Follows the inserts of segments by a change stream. One segment can hold many changes, and a resume
 * token cannot point between them; so a position is MongoDB's time of the change and the number of
 * the change within that time, both as hexadecimal digits of fixed length, and a follower that comes
 * back asks from that time on and skips what it has. Every process counts alike.
 */
export class Feed {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** What this process has last told the others, in seconds. */
  #keptFrom = -Infinity;

  constructor(database: Database, clock: Clock, timeoutMs: number) {
    this.#database = database;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  async *follow(after: Cursor | "now", signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    let position: string = after === "now" ? "now" : (after[0] ?? "");
    let announced = position === "now";
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        if (position === "now") {
          position = toTime(timeAfter(await this.#present()));
          yield { changes: [], cursor: [position], caughtUp: true };
        } else {
          position = await this.#checkKept(position);
        }
        const present = announced ? undefined : await this.#present();
        if (present !== undefined && secondsOf(position) > present.t + AHEAD_S_MAX) throw expired();
        for await (const batch of this.#read(position, present, signal)) {
          failures = 0;
          position = batch.cursor[0] ?? position;
          announced ||= batch.caughtUp;
          yield batch;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (isHistoryLost(error)) throw expired(error);
        const failure = classify(error, "no");
        if (failure.code !== "store_unavailable") throw failure;
        await sleep(retryDelayMs(Math.min(failures, 5)), undefined, { signal }).catch(() => {});
      }
    }
  }

  /**
   * Ends what followers can resume from, at a time that has passed for `feedRetentionMs`. MongoDB may
   * still hold it, as it cuts its log by size; but what is promised is the same on every store.
   */
  async retain(feedRetentionMs: number): Promise<void> {
    const seconds = Math.floor((this.#clock.now() - feedRetentionMs) / 1000);
    const step = feedRetentionMs / 1000 / RETENTION_STEPS;
    if (seconds < this.#keptFrom + step) return;
    const wanted = new Timestamp({ t: Math.max(0, seconds), i: 0 });
    const present = await this.#present();
    const from = toTime(wanted) < toTime(present) ? wanted : present;
    const updates = [{ q: { _id: "schema" }, u: { $max: { feedFrom: from } } }];
    await this.#database.read(
      { update: this.#database.names.meta, updates, writeConcern: DURABLE },
      this.#deadline(),
    );
    this.#keptFrom = from.t;
  }

  /** Reads one change stream until it fails or the follower leaves. */
  async *#read(
    after: string,
    present: Timestamp | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<ChangeBatch> {
    const stream = this.#open(after);
    const reader = new EventReader(stream);
    const wake = (): void => reader.wake();
    signal.addEventListener("abort", wake, { once: true });
    const counter = new ChangeCounter(after);
    let cursor = after;
    let waitingFor = present && toTime(present);
    try {
      while (!signal.aborted) {
        const { events, isDrained } = await reader.next();
        const changes = events.flatMap((event) => counter.toChanges(event));
        const reached = timeOfToken(stream.resumeToken) ?? "";
        const arrives = isDrained && waitingFor !== undefined && reached >= waitingFor;
        if (arrives) waitingFor = undefined;
        const last = changes.at(-1)?.position ?? cursor;
        const isNews = changes.length > 0 || secondsOf(reached) > secondsOf(last) + BOOKMARK_S;
        if (!isNews && !arrives) continue;
        cursor = reached > last.slice(0, TIME_DIGITS) ? reached : last;
        yield { changes, cursor: [cursor], caughtUp: isDrained && waitingFor === undefined };
      }
    } finally {
      signal.removeEventListener("abort", wake);
      // It waits for a request that MongoDB may hold for a while yet.
      void stream.close().catch(() => {});
    }
  }

  #open(after: string): ChangeStream {
    const startAtOperationTime = fromPosition(after);
    if (startAtOperationTime === undefined) throw expired();
    const { segments } = this.#database.names;
    return this.#database.db.collection(segments).watch(PIPELINE, {
      startAtOperationTime,
      maxAwaitTimeMS: AWAIT_MS,
      batchSize: BATCH_ITEMS,
    });
  }

  /** The time of the newest write that a majority has. */
  async #present(): Promise<Timestamp> {
    const hello = (await this.#database.read({ hello: 1 }, this.#deadline())) as {
      readonly lastWrite?: { readonly majorityOpTime?: { readonly ts?: Timestamp } };
      readonly operationTime?: Timestamp;
    };
    // A mongos has no log of its own; it names the time of its whole cluster.
    const time = hello.lastWrite?.majorityOpTime?.ts ?? hello.operationTime;
    if (time === undefined) throw unsupported();
    return time;
  }

  /** Answers where to go on from, where that is still kept; the beginning is when it was set up. */
  async #checkKept(position: string): Promise<string> {
    const meta = await readMeta(this.#database, this.#deadline());
    const start = position === "" ? meta?.since && toTime(meta.since) : position;
    // Set up when the server was no replica set and kept no log of its writes, there is no beginning.
    if (start === undefined) throw expired();
    if (meta?.feedFrom !== undefined && start < toTime(meta.feedFrom)) throw expired();
    return start;
  }

  #deadline(): Deadline {
    return new Deadline(this.#clock, this.#timeoutMs);
  }
}

function expired(cause?: unknown): StateError {
  return new StateError(
    "cursor_expired",
    "MongoDB's log does not hold this position, or no longer. List the keys again, then follow " +
      "from now; a larger oplog keeps positions longer.",
    { cause },
  );
}

export function unsupported(): StateError {
  return new StateError(
    "watch_unsupported",
    "This MongoDB keeps no log of its writes. Start mongod with --replSet (one member is enough) " +
      "and run rs.initiate() once.",
  );
}
