import { Timestamp, type ChangeStream, type Document } from "mongodb";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { StateError } from "../../errors.ts";
import type { Key } from "../../key.ts";
import type { Change, ChangeBatch, Cursor } from "../../store.ts";
import type { Clock } from "../../telemetry/clock.ts";
import { classify, isHistoryLost, isTransient } from "./classify.ts";
import { retryDelayMs, type Database } from "./database.ts";
import { Deadline } from "./deadline.ts";
import { readMeta } from "./schema.ts";

/** Changes of one batch. */
const BATCH_ITEMS = 1000;

/** How long MongoDB holds an idle request for changes. */
const AWAIT_MS = 1000;

/** How much newer an idle follower's cursor gets before it is told, in seconds. */
const BOOKMARK_S = 10;

/** Digits of a position: seconds and increment of a time, and the number of the change within it. */
const TIME_DIGITS = 16;
const COUNT_DIGITS = 6;
const POSITION_FORM = /^([0-9a-f]{8})([0-9a-f]{8})(?:\.[0-9a-f]{6,})?$/;
/** A token is a key string: the tag of a time, then the time. */
const TOKEN_FORM = /^82([0-9A-F]{16})/;

/** An insert of a segment, without its values. */
interface InsertEvent {
  readonly clusterTime: Timestamp;
  readonly k: Key;
  readonly g: string;
  readonly v: number;
  readonly c: number;
  readonly x?: number;
  readonly a: readonly number[];
}

/** Inserts that put or delete something: what only holds a place has no version. */
const PIPELINE: Document[] = [
  {
    $match: {
      operationType: "insert",
      $or: [{ "fullDocument.c": { $gt: 0 } }, { "fullDocument.v": { $gt: 0 } }],
    },
  },
  {
    $project: {
      clusterTime: 1,
      k: "$fullDocument.k",
      g: "$fullDocument.g",
      v: "$fullDocument.v",
      c: "$fullDocument.c",
      x: "$fullDocument.x",
      a: "$fullDocument.e.a",
    },
  },
];

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

  constructor(database: Database, clock: Clock, timeoutMs: number) {
    this.#database = database;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  async *follow(after: Cursor | "now", signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    let position: string = after === "now" ? "now" : (after[0] ?? "");
    let announced = false;
    if (position !== "now" && position !== "") fromTime(position);
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        if (position === "now") {
          position = toTime(next(await this.#present()));
          announced = true;
          yield { changes: [], cursor: [position], caughtUp: true };
        } else if (position === "") {
          position = await this.#beginning();
        }
        const present: string | undefined = announced ? undefined : toTime(await this.#present());
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
        if (!isTransient(error) && failure.code !== "store_unavailable") throw failure;
        await sleep(retryDelayMs(Math.min(failures, 5)), undefined, { signal }).catch(() => {});
      }
    }
  }

  /** Reads one change stream until it fails or the follower leaves. */
  async *#read(
    after: string,
    present: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<ChangeBatch> {
    const stream = this.#open(after);
    const close = (): void => void stream.close().catch(() => {});
    signal.addEventListener("abort", close, { once: true });
    const counter = new ChangeCounter(after);
    const reader = new EventReader(stream);
    let cursor = after;
    let waitingFor = present;
    try {
      while (!signal.aborted) {
        const { events, isDry } = await reader.next();
        const changes = events.flatMap((event) => counter.toChanges(event));
        const reached = timeOfToken(stream.resumeToken) ?? "";
        const announces = isDry && waitingFor !== undefined && reached >= waitingFor;
        if (announces) waitingFor = undefined;
        const last = changes.at(-1)?.position ?? cursor;
        const isIdle = changes.length === 0 && secondsOf(reached) < secondsOf(last) + BOOKMARK_S;
        if (isIdle && !announces) continue;
        cursor = reached > last.slice(0, TIME_DIGITS) ? reached : last;
        yield { changes, cursor: [cursor], caughtUp: isDry && waitingFor === undefined };
      }
    } finally {
      signal.removeEventListener("abort", close);
      close();
    }
  }

  #open(after: string): ChangeStream {
    const { segments } = this.#database.names;
    return this.#database.db.collection(segments).watch(PIPELINE, {
      startAtOperationTime: fromTime(after),
      maxAwaitTimeMS: AWAIT_MS,
      batchSize: BATCH_ITEMS,
    });
  }

  /** The time of the newest write that a majority has. */
  async #present(): Promise<Timestamp> {
    const deadline = new Deadline(this.#clock, this.#timeoutMs);
    const hello = (await this.#database.read({ hello: 1 }, deadline)) as {
      readonly lastWrite?: { readonly majorityOpTime?: { readonly ts?: Timestamp } };
      readonly operationTime?: Timestamp;
    };
    // A mongos has no log of its own; it names the time of its whole cluster.
    const time = hello.lastWrite?.majorityOpTime?.ts ?? hello.operationTime;
    if (time === undefined) throw unsupported();
    return time;
  }

  /** Where the feed began: when this state was set up. */
  async #beginning(): Promise<string> {
    const deadline = new Deadline(this.#clock, this.#timeoutMs);
    const since = (await readMeta(this.#database, deadline))?.since;
    // Set up when the server was no replica set, and kept no log of its writes.
    if (since === undefined) throw expired();
    return toTime(since);
  }
}

/** Takes events from a change stream, as many as have arrived. */
class EventReader {
  readonly #stream: ChangeStream;
  #pending: Promise<InsertEvent | null> | undefined;

  constructor(stream: ChangeStream) {
    this.#stream = stream;
  }

  /** Waits for events; `isDry` where MongoDB has said that there is nothing more for now. */
  async next(): Promise<{ readonly events: readonly InsertEvent[]; readonly isDry: boolean }> {
    const events: InsertEvent[] = [];
    let event: InsertEvent | null | undefined = await this.#take();
    while (event !== null && event !== undefined) {
      this.#pending = undefined;
      events.push(event);
      if (events.length >= BATCH_ITEMS) return { events, isDry: false };
      // One that has arrived is handed out within this turn of the event loop.
      event = await Promise.race([this.#take(), nextTurn(undefined)]);
    }
    if (event === null) this.#pending = undefined;
    return { events, isDry: event === null };
  }

  #take(): Promise<InsertEvent | null> {
    if (this.#pending === undefined) {
      this.#pending = this.#stream.tryNext() as Promise<InsertEvent | null>;
      // It may fail while nobody waits for it; whoever comes next hears of it.
      this.#pending.catch(() => {});
    }
    return this.#pending;
  }
}

/** Numbers the changes of one time, and leaves out those up to where a follower has been. */
class ChangeCounter {
  readonly #after: string;
  #time = "";
  #count = 0;

  constructor(after: string) {
    this.#after = after;
  }

  toChanges(event: InsertEvent): readonly Change[] {
    const time = toTime(event.clusterTime);
    if (time !== this.#time) {
      this.#time = time;
      this.#count = 0;
    }
    const { k: key, g: incarnation, v, c, x, a } = event;
    const changes: Change[] = [];
    for (let i = 0; i < Math.max(1, c); i += 1) {
      const position = `${time}.${this.#count.toString(16).padStart(COUNT_DIGITS, "0")}`;
      this.#count += 1;
      if (position <= this.#after) continue;
      const at = (c === 0 ? x : a[i]) ?? 0;
      const rest = { deleted: c === 0, at, partition: 0, position };
      changes.push({ key, incarnation, version: v + i, ...rest });
    }
    return changes;
  }
}

function toTime({ t, i }: Timestamp): string {
  const digits = (part: number): string => part.toString(16).padStart(TIME_DIGITS / 2, "0");
  return digits(t) + digits(i);
}

function fromTime(position: string): Timestamp {
  const [, seconds = "", increment = ""] = POSITION_FORM.exec(position) ?? [];
  if (seconds === "") throw expired();
  return new Timestamp({ t: Number.parseInt(seconds, 16), i: Number.parseInt(increment, 16) });
}

function next({ t, i }: Timestamp): Timestamp {
  return new Timestamp({ t, i: i + 1 });
}

function secondsOf(position: string): number {
  return Number.parseInt(position.slice(0, TIME_DIGITS / 2), 16);
}

/** The time up to which a change stream has seen everything: its tokens start with it. */
function timeOfToken(token: unknown): string | undefined {
  const { _data: data } = (token ?? {}) as { readonly _data?: unknown };
  return typeof data === "string" ? TOKEN_FORM.exec(data)?.[1]?.toLowerCase() : undefined;
}

function expired(cause?: unknown): StateError {
  return new StateError(
    "cursor_expired",
    "MongoDB's log no longer reaches back to this position. List the keys again, then follow " +
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
