import type { Document, ObjectId, Timestamp } from "mongodb";
import type { Clock } from "../../telemetry/clock.ts";
import { firstBatch, type Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import type { KeyState, SegmentDocument } from "./documents.ts";
import type { Shown } from "./journal.ts";
import { AGE_MS_MAX } from "./recent.ts";
import { lastIdOf, writerOf } from "./segment-ids.ts";
import type { StateCache } from "./state-cache.ts";
import { isClaimed, toShown, toState } from "./states.ts";

/** Writers that are followed at once: those that races were lost to last. */
const WRITERS_MAX = 8;

/** Segments of one look; what a writer has inserted before the newest of them is passed over. */
const SEGMENTS_MAX = 256;

/** Looks that may tell nothing of use in a row, and most batches that then pass without one. */
const USELESS_MAX = 4;
const UNASKED_MAX = 64;

/** A writer in another process, or another store of this one. */
interface OtherWriter {
  /** The newest of its segments that was seen. */
  last: ObjectId;
  /** When that was asked for; undefined before the first look, which only tells where to begin. */
  seenAt: number | undefined;
  /** When it was last known to write. */
  wroteAt: number;
}

/** A segment of another writer, with no more than the times of its entries. */
type SeenSegment = Pick<SegmentDocument, "_id" | "k" | "s" | "c" | "g" | "v" | "b" | "t"> & {
  readonly e: readonly { readonly a: number }[];
};

/**
 * Follows those that this process has lost races to. Where several write to the same keys, most of
 * what one remembers is wrong by its next write; each wrong place costs MongoDB far more than the
 * segment itself, and the batch another round. So a batch first asks what the others have inserted
 * since the last look, which costs a fraction of reading where the log of each of its keys ends.
 * A process that loses no races asks nothing.
 */
export class OtherWriters {
  readonly #database: Database;
  readonly #states: StateCache;
  readonly #clock: Clock;
  readonly #writers = new Map<string, OtherWriter>();
  /** How many looks in a row told nothing of use. */
  #useless = 0;
  #unasked = 0;

  constructor(database: Database, states: StateCache, clock: Clock) {
    this.#database = database;
    this.#states = states;
    this.#clock = clock;
  }

  /** A race was lost to the writer of this segment. */
  meet(id: ObjectId): void {
    if (this.#database.ids.isOwn(id)) return;
    this.#useless = 0;
    this.#unasked = 0;
    const writer = writerOf(id);
    const known = this.#writers.get(writer);
    const at = this.#clock.monotonic();
    // Whoever was met last comes last.
    this.#writers.delete(writer);
    this.#writers.set(writer, known ?? { last: id, seenAt: undefined, wroteAt: at });
    const [first] = this.#writers.keys();
    if (this.#writers.size > WRITERS_MAX && first !== undefined) this.#writers.delete(first);
  }

  /**
   * Learns where the others have moved the ends of logs to that this process remembers. A majority has
   * a write a moment before majority readers see it: `after` is when a race was lost, if one was.
   */
  async look(deadline: Deadline, after: Timestamp | undefined): Promise<void> {
    if (this.#writers.size === 0) return;
    if (this.#unasked > 0) {
      this.#unasked -= 1;
      return;
    }
    const at = this.#clock.monotonic();
    // Whoever builds on what it learns here has to be sure of it.
    const segments = await this.#database.readKept(
      deadline,
      () => this.#readNew(deadline, after),
      (found) => found.filter((segment) => this.#newsOf(segment) !== undefined).map(shownBy),
    );
    const moved = segments.filter((segment) => this.#learn(segment));
    for (const { _id } of segments.toReversed()) {
      const writer = this.#writers.get(writerOf(_id));
      if (writer !== undefined) [writer.last, writer.wroteAt] = [_id, at];
    }
    for (const [name, writer] of this.#writers) {
      writer.seenAt = at;
      if (at - writer.wroteAt > AGE_MS_MAX) this.#writers.delete(name);
    }
    this.#useless = moved.length > 0 ? 0 : this.#useless + 1;
    this.#unasked = Math.min(2 ** Math.max(0, this.#useless - USELESS_MAX) - 1, UNASKED_MAX);
  }

  /** The newest segments since the last look, newest first. */
  async #readNew(
    deadline: Deadline,
    after: Timestamp | undefined,
  ): Promise<readonly SeenSegment[]> {
    const ranges: Document[] = [];
    for (const [name, { last }] of this.#writers) {
      ranges.push({ _id: { $gt: last, $lt: lastIdOf(name) } });
    }
    const reply = await this.#database.find(
      {
        find: this.#database.names.segments,
        filter: ranges.length === 1 ? ranges[0] : { $or: ranges },
        sort: { _id: -1 },
        hint: { _id: 1 },
        projection: { k: 1, s: 1, c: 1, g: 1, v: 1, b: 1, t: 1, "e.a": 1 },
        limit: SEGMENTS_MAX,
        batchSize: SEGMENTS_MAX,
        singleBatch: true,
      },
      { deadline, after },
    );
    return firstBatch<SeenSegment>(reply);
  }

  /** Answers whether it says more of a key than was remembered. */
  #learn(segment: SeenSegment): boolean {
    const news = this.#newsOf(segment);
    if (news !== undefined) this.#states.set(segment.k, news.state, news.since);
    return news !== undefined;
  }

  /** Where it has moved the end of a log to, where that is not known yet. */
  #newsOf(segment: SeenSegment): { readonly state: KeyState; readonly since: number } | undefined {
    // It has been inserted since then, which is all that is known of when.
    const since = this.#writers.get(writerOf(segment._id))?.seenAt;
    const known = this.#states.get(segment.k);
    const state = stateAfter(segment);
    if (since === undefined || known === undefined || state === undefined) return undefined;
    // Of a place below what is remembered nobody can say how old it is, and it is of no use.
    return state.next > known.next ? { state, since } : undefined;
  }
}

function shownBy({ _id: i, k, s }: SeenSegment): Shown[number] {
  return toShown({ _id: k, i, s });
}

/** Where the log ended when this segment was inserted; undefined where it can't be built on. */
function stateAfter({ t, e, ...segment }: SeenSegment): KeyState | undefined {
  if (isClaimed({ t: t ?? null })) return undefined;
  const last = e.at(-1);
  // Retention has emptied it, so that there is a newer one.
  if (segment.c > 0 && last === undefined) return undefined;
  return toState({ ...segment, e: last });
}
