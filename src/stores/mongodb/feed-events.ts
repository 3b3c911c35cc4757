import { Timestamp, type ChangeStream, type Document } from "mongodb";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Key } from "../../key.ts";
import type { Change } from "../../store.ts";

/** Events of one batch. */
export const BATCH_ITEMS = 1000;

/** Digits of a position: seconds and increment of a time, and the number of the change within it. */
export const TIME_DIGITS = 16;
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
export const PIPELINE: Document[] = [
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

/** Takes events from a change stream, as many as have arrived. */
export class EventReader {
  readonly #stream: ChangeStream;
  #pending: Promise<InsertEvent | null> | undefined;
  #wake: () => void = () => {};

  constructor(stream: ChangeStream) {
    this.#stream = stream;
    // MongoDB has said how far it has looked, which it also does where there was nothing.
    stream.on("resumeTokenChanged", () => this.wake());
  }

  /** Ends a wait for events. */
  wake(): void {
    this.#wake();
  }

  /** Waits for events or a wake. `isDrained` where all that has arrived was taken. */
  async next(): Promise<{ readonly events: readonly InsertEvent[]; readonly isDrained: boolean }> {
    const events: InsertEvent[] = [];
    const { promise: woken, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await Promise.race([this.#take(), woken]);
    for (;;) {
      // An event that has arrived is handed out within this turn of the event loop.
      const event = await Promise.race([this.#take(), nextTurn(undefined)]);
      if (event !== undefined) this.#pending = undefined;
      if (event === null || event === undefined) return { events, isDrained: true };
      events.push(event);
      if (events.length >= BATCH_ITEMS) return { events, isDrained: false };
    }
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
export class ChangeCounter {
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

export function toTime({ t, i }: Timestamp): string {
  const digits = (part: number): string => part.toString(16).padStart(TIME_DIGITS / 2, "0");
  return digits(t) + digits(i);
}

/** The time of a position; undefined where it is none. */
export function fromPosition(position: string): Timestamp | undefined {
  const [, seconds, increment] = POSITION_FORM.exec(position) ?? [];
  if (seconds === undefined || increment === undefined) return undefined;
  return new Timestamp({ t: Number.parseInt(seconds, 16), i: Number.parseInt(increment, 16) });
}

export function timeAfter({ t, i }: Timestamp): Timestamp {
  return new Timestamp({ t, i: i + 1 });
}

export function secondsOf(position: string): number {
  return Number.parseInt(position.slice(0, TIME_DIGITS / 2), 16);
}

/** The time up to which a change stream has seen everything: its tokens start with it. */
export function timeOfToken(token: unknown): string | undefined {
  const { _data: data } = (token ?? {}) as { readonly _data?: unknown };
  return typeof data === "string" ? TOKEN_FORM.exec(data)?.[1]?.toLowerCase() : undefined;
}
