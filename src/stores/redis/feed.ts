import { setTimeout as sleep } from "node:timers/promises";
import { StateError } from "../../errors.ts";
import type { Key } from "../../key.ts";
import type { Change, ChangeBatch, Cursor } from "../../store.ts";
import type { Clock } from "../../telemetry/clock.ts";
import { fromPosition, parsePosition, toPosition } from "../shared/position.ts";
import type { Bell } from "./bell.ts";
import { ByteReader } from "./bytes.ts";
import { classify } from "./classify.ts";
import type { Connection, Reply } from "./connection.ts";
import { sendScript, withScript, type Executor } from "./executor.ts";
import type { Partition } from "./schema.ts";
import { FEED_EXPIRED, READ_FEED_SCRIPT } from "./scripts.ts";

/** Pause before the feed is read again while Redis is away, in milliseconds. */
const RETRY_DELAY_MS = 100;

/** Where a follower stands in one partition. */
interface Place {
  readonly index: number;
  readonly partition: Partition;
  /** Number of the last change that was yielded. */
  position: number;
  /** The stream entry that ends there, where it was read here. */
  seen: StreamEntry | undefined;
  /** The session in which it was read: in a new one, Redis may have lost the end of its feed. */
  session: object | undefined;
}

interface StreamEntry {
  readonly id: string;
  readonly content: Buffer;
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
        if (isExpired(error)) throw error;
        await pause(signal);
      }
    }
    return undefined;
  }

  async #findPlaces(after: Cursor | "now"): Promise<readonly Place[]> {
    const { partitions } = this.#options;
    if (after !== "now" && after.length > 0 && after.length !== partitions.length) throw expired();
    return Promise.all(
      partitions.map(async (partition, index) => ({
        index,
        partition,
        position: after === "now" ? await this.#findEnd(partition) : fromCursor(after[index] ?? ""),
        seen: undefined,
        session: undefined,
      })),
    );
  }

  #deadline(): number {
    return this.#options.clock.monotonic() + this.#options.timeoutMs;
  }

  async #findEnd({ slot, names }: Partition): Promise<number> {
    const last = await this.#options.executor.run({
      slot,
      kind: "read",
      deadline: this.#deadline(),
      attempt: (connection) => connection.send(["HGET", names.meta, "s"]),
    });
    return Number(last ?? 0);
  }

  /**
   * What was read of some partitions counts also where others could not be read: their places have
   * moved past it, and nobody should wait for a node that holds nothing of theirs.
   */
  async #readAll(places: readonly Place[]): Promise<Round> {
    const settled = await Promise.allSettled(places.map((place) => this.#read(place)));
    const steps = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const failures = settled.flatMap((one): unknown[] =>
      one.status === "rejected" ? [one.reason] : [],
    );
    if (failures.some(isExpired)) throw expired();
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
    const args = [String(place.position)];
    const call = { script: READ_FEED_SCRIPT, keys: [names.feed, names.meta], args };
    const reply = await this.#options.executor.run({
      slot,
      kind: "read",
      deadline: this.#deadline(),
      attempt: async (connection, isRedirected) => {
        if (place.session !== connection.session && !(await isUnchanged(connection, place))) {
          throw expired();
        }
        const found = await withScript(connection, READ_FEED_SCRIPT, () =>
          sendScript(connection, call, isRedirected),
        ).catch(throwExpired);
        place.session = connection.session;
        return found;
      },
    });
    return this.#advance(place, reply as readonly Reply[]);
  }

  #advance(place: Place, [more, ...rest]: readonly Reply[]): Step {
    const changes: Change[] = [];
    for (let at = 0; at + 1 < rest.length; at += 2) {
      const entry = { id: String(rest[at]), content: rest[at + 1] as Buffer };
      changes.push(...decodeChanges(entry, place));
      place.seen = entry;
    }
    const last = changes.at(-1);
    if (last !== undefined) place.position = fromPosition(last.position);
    return { changes, hasMore: more === 1 };
  }
}

function cursorOf(places: readonly Place[]): Cursor {
  return places.map(({ position }) => toPosition(position));
}

/** A cursor that is not of this store has expired too. */
function fromCursor(position: string): number {
  const number = parsePosition(position);
  if (number === undefined) throw expired();
  return number;
}

/** The changes of a stream entry that come after a place. They are dense, or the feed has a hole. */
function decodeChanges({ id, content }: StreamEntry, place: Place): readonly Change[] {
  const reader = new ByteReader(content);
  reader.u48();
  const count = reader.u32();
  const last = Number(id.slice(0, id.indexOf("-")));
  const changes: Change[] = [];
  for (let number = last - count + 1; number <= last; number += 1) {
    const change = readChange(reader, place.index, number);
    if (number > place.position) changes.push(change);
  }
  return changes;
}

function readChange(reader: ByteReader, partition: number, number: number): Change {
  const deleted = reader.u8() === 1;
  const key = reader.text(reader.u16()) as Key;
  const version = reader.u48();
  const at = reader.u48();
  const incarnation = reader.text(reader.u8());
  return { key, incarnation, version, deleted, at, partition, position: toPosition(number) };
}

/**
 * Whether the entry that a place ends with is still what it was. A Redis that does not sync every
 * write may come back without its latest ones, and then give their numbers to others.
 */
async function isUnchanged(connection: Connection, place: Place): Promise<boolean> {
  const { seen, partition } = place;
  if (seen === undefined) return true;
  const { feed, meta } = partition.names;
  const [found, trimmed] = await Promise.all([
    connection.send(["XRANGE", feed, seen.id, seen.id]),
    connection.send(["HGET", meta, "t"]),
  ]);
  const [entry] = found as readonly (readonly [Reply, readonly Reply[]])[];
  if (entry === undefined) return Number(trimmed ?? 0) >= place.position;
  return seen.content.equals(entry[1][1] as Buffer);
}

function throwExpired(error: unknown): never {
  const failure = classify(error);
  if (failure.kind === "refused" && failure.code === FEED_EXPIRED) throw expired();
  throw error;
}

function isExpired(error: unknown): boolean {
  return error instanceof StateError && error.code === "cursor_expired";
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
