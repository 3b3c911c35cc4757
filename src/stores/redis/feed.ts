import { setTimeout as sleep } from "node:timers/promises";
import { StateError } from "../../errors.ts";
import type { Key } from "../../key.ts";
import type { Change, ChangeBatch, Cursor } from "../../store.ts";
import type { Clock } from "../../telemetry/clock.ts";
import { fromPosition, parsePosition, toPosition } from "../shared/position.ts";
import type { Bell } from "./bell.ts";
import { ByteReader } from "./bytes.ts";
import { classify } from "./classify.ts";
import { toList, type Reply } from "./connection.ts";
import type { Executor } from "./executor.ts";
import type { Partition } from "./schema.ts";
import { FEED_EXPIRED, FIND_END_SCRIPT, markOf, READ_FEED_SCRIPT } from "./scripts.ts";

/** Pause before the feed is read again while Redis is away, in milliseconds. */
const RETRY_DELAY_MS = 100;

/** A position is the number of a change, then the mark of its stream entry. */
const NUMBER_DIGITS = 11;
const MARK_FORM = /^(?:[0-9a-f]{8})?$/;

/** Where a follower stands in one partition. */
interface Place {
  readonly index: number;
  readonly partition: Partition;
  /** Number of the last change that was yielded. */
  position: number;
  /** What the stream entry that holds it is known by; empty where that is not known, or was trimmed. */
  mark: string;
}

interface StreamEntry {
  readonly id: string;
  readonly content: Buffer;
  readonly mark: string;
}

/** What one partition had to say. */
interface Step {
  readonly changes: readonly Change[];
  readonly hasMore: boolean;
}

/** What all partitions had to say, or, where some could not be read, the others. */
interface Round {
  readonly changes: readonly Change[];
  readonly caughtUp: boolean;
  readonly isPartial: boolean;
}

export interface FeedOptions {
  readonly executor: Executor;
  readonly partitions: readonly Partition[];
  /** Makes one for a follower. */
  readonly makeBell: () => Bell;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/** Follows the feeds of all partitions. */
export class Feed {
  readonly #options: FeedOptions;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /**
   * Reads all partitions until there is nothing more, then waits for the bell. A Redis that is away
   * is waited for. Throws `cursor_expired` where the feed no longer holds what comes next.
   */
  async *follow(after: Cursor | "now", signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const places = await this.#untilReached(signal, () => this.#findPlaces(after));
    if (places === undefined) return;
    const bell = this.#options.makeBell();
    // Also where nobody asks for what comes next any more.
    const close = (): void => bell.close();
    signal.addEventListener("abort", close, { once: true });
    try {
      // What comes while the feed is first read is after now already.
      if (after === "now") yield { changes: [], cursor: cursorOf(places), caughtUp: true };
      yield* this.#followFrom(places, { bell, isAnnounced: after === "now" }, signal);
    } finally {
      signal.removeEventListener("abort", close);
      close();
    }
  }

  async *#followFrom(
    places: readonly Place[],
    { bell, ...start }: { readonly bell: Bell; readonly isAnnounced: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<ChangeBatch> {
    let { isAnnounced } = start;
    while (!signal.aborted) {
      const { changes, caughtUp, isPartial } = await this.#readAll(places);
      if (signal.aborted) return;
      if (changes.length > 0 || (caughtUp && !isAnnounced)) {
        isAnnounced ||= caughtUp;
        yield { changes, cursor: cursorOf(places), caughtUp };
      } else if (isPartial) {
        await pause(signal);
      } else if (caughtUp) {
        await bell.wait(
          places.reduce((sum, { position }) => sum + position, 0),
          signal,
        );
      }
    }
  }

  /** Tries again while Redis is away; answers undefined once `signal` has aborted. */
  async #untilReached<Result>(
    signal: AbortSignal,
    attempt: () => Promise<Result>,
  ): Promise<Result | undefined> {
    while (!signal.aborted) {
      try {
        return await attempt();
      } catch (error) {
        if (isLasting(error)) throw error;
        await pause(signal);
      }
    }
    return undefined;
  }

  async #findPlaces(after: Cursor | "now"): Promise<readonly Place[]> {
    const { partitions } = this.#options;
    if (after !== "now" && after.length > 0 && after.length !== partitions.length) throw expired();
    return Promise.all(
      partitions.map(async (partition, index) => {
        const start =
          after === "now" ? await this.#findEnd(partition) : fromCursor(after[index] ?? "");
        return { index, partition, ...start };
      }),
    );
  }

  #deadline(): number {
    return this.#options.clock.monotonic() + this.#options.timeoutMs;
  }

  async #findEnd({ slot, names }: Partition): Promise<Pick<Place, "position" | "mark">> {
    const where = { slot, kind: "read", deadline: this.#deadline() } as const;
    const call = { script: FIND_END_SCRIPT, keys: [names.feed, names.meta], args: [] };
    const [last, mark] = toList(await this.#options.executor.runScript(where, call));
    return { position: Number(last), mark: String(mark) };
  }

  /**
   * What was read of some partitions counts also where others could not be read: their places have
   * moved past it, and nobody should wait for a node that holds nothing of theirs.
   */
  async #readAll(places: readonly Place[]): Promise<Round> {
    const settled = await Promise.allSettled(places.map((place) => this.#read(place)));
    const steps = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const failures = settled.flatMap((one): Error[] =>
      one.status === "rejected" ? [one.reason as Error] : [],
    );
    const lasting = failures.find(isLasting);
    if (lasting !== undefined) throw lasting;
    const isPartial = failures.length > 0;
    return {
      changes: steps.flatMap((step) => step.changes),
      caughtUp: !isPartial && steps.every((step) => !step.hasMore),
      isPartial,
    };
  }

  /** Reads one partition on from a place, and moves the place on. */
  async #read(place: Place): Promise<Step> {
    const { slot, names } = place.partition;
    const args = [String(place.position), place.mark];
    const call = { script: READ_FEED_SCRIPT, keys: [names.feed, names.meta], args };
    const where = { slot, kind: "read", deadline: this.#deadline() } as const;
    const reply = await this.#options.executor.runScript(where, call).catch(throwExpired);
    return this.#advance(place, toList(reply));
  }

  #advance(place: Place, [more, mark, ...rest]: readonly Reply[]): Step {
    place.mark = String(mark);
    const changes: Change[] = [];
    for (let at = 0; at + 1 < rest.length; at += 2) {
      const content = rest[at + 1] as Buffer;
      const entry = { id: String(rest[at]), content, mark: markOf(content) };
      changes.push(...decodeChanges(entry, place));
      place.mark = entry.mark;
    }
    const last = changes.at(-1);
    if (last !== undefined) place.position = fromPosition(last.position.slice(0, NUMBER_DIGITS));
    return { changes, hasMore: more === 1 };
  }
}

function cursorOf(places: readonly Place[]): Cursor {
  return places.map(({ position, mark }) => toPosition(position) + mark);
}

/** The number and the mark of a position. A cursor that is not of this store has expired too. */
function fromCursor(text: string): Pick<Place, "position" | "mark"> {
  const position = parsePosition(text.slice(0, NUMBER_DIGITS));
  const mark = text.slice(NUMBER_DIGITS);
  if (position === undefined || !MARK_FORM.test(mark)) throw expired();
  return { position, mark };
}

/** The changes of a stream entry that come after a place. They are dense, or the feed has a hole. */
function decodeChanges({ id, content, mark }: StreamEntry, place: Place): readonly Change[] {
  const reader = new ByteReader(content);
  reader.u48();
  const count = reader.u32();
  const last = Number(id.slice(0, id.indexOf("-")));
  const changes: Change[] = [];
  for (let number = last - count + 1; number <= last; number += 1) {
    const change = readChange(reader, place.index, toPosition(number) + mark);
    if (number > place.position) changes.push(change);
  }
  return changes;
}

function readChange(reader: ByteReader, partition: number, position: string): Change {
  const deleted = reader.u8() === 1;
  const key = reader.text(reader.u16()) as Key;
  const version = reader.u48();
  const at = reader.u48();
  const incarnation = reader.text(reader.u8());
  return { key, incarnation, version, deleted, at, partition, position };
}

function throwExpired(error: unknown): never {
  const failure = classify(error instanceof StateError ? error.cause : error);
  if (failure.kind === "refused" && failure.code === FEED_EXPIRED) throw expired();
  throw error;
}

/** What waiting does not mend: the position is gone, or the user may not read the feed. */
function isLasting(error: unknown): boolean {
  if (!(error instanceof StateError)) return true;
  return error.code !== "store_unavailable" && error.code !== "store_read_only";
}

async function pause(signal: AbortSignal): Promise<void> {
  await sleep(RETRY_DELAY_MS, undefined, { signal }).catch(() => {});
}

function expired(): StateError {
  return new StateError(
    "cursor_expired",
    "The feed no longer reaches back to this position. List the keys again, then follow from now.",
  );
}
