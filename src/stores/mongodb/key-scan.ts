import { firstBatch, type Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import { INDEXES } from "./schema.ts";
import type { SegmentDocument } from "./documents.ts";
import { toShown, type HeadDocument } from "./states.ts";

/** Segments of one scan: their metadata, at its longest, fits one reply of 16 MiB. */
const SEGMENTS_MAX = 1010;

/** Of so many entries as well; a reply with more may have ended before the range. */
const ENTRIES_MAX = 2000;

/** Entries to a segment that may all be read, where MongoDB takes half as long again to pick the last. */
const ENTRIES_EACH_MAX = 4;

/** Segments to a key that may be read in vain, before the index of keys is the better way. */
const SEGMENTS_EACH_MAX = 3;

/** Parts of lists that are then read by that index, before a scan is tried again. */
const UNSCANNED = 32;

/** A part of the list of keys. */
export interface Range {
  /** Itself left out where it `isAfter`. */
  readonly from: string;
  readonly isAfter: boolean;
  readonly to: string | undefined;
  /** Keys at least, where there are so many. */
  readonly limit: number;
}

/** Newest segments in key order, and where to go on; undefined where the range has ended. */
export interface Scanned {
  readonly heads: readonly HeadDocument[];
  readonly next: string | undefined;
}

/**
 * Reads the newest segments of a range of keys by walking along the log's index, over older segments
 * as well. Where histories are short, as of a million keys that were put once, that costs a third of
 * asking the index of keys which there are, and seeking the newest segment of each. Where they turn
 * out to be long, it is left alone for a while.
 */
export class KeyScan {
  readonly #database: Database;
  /** Segments to a key that exists, and entries to a segment, going by the last scan. */
  #segmentsEach = 1;
  #entriesEach = 1;
  #unscanned = 0;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Undefined where a scan is not worth trying. */
  async read(range: Range, deadline: Deadline): Promise<Scanned | undefined> {
    if (this.#unscanned > 0) {
      this.#unscanned -= 1;
      return undefined;
    }
    const limit = Math.min(Math.ceil(range.limit * this.#segmentsEach), SEGMENTS_MAX);
    const segments = await this.#database.readKept(
      deadline,
      () => this.#readSegments(range, limit, deadline),
      (found) => headsAmong(found).map(toShown),
    );
    const heads = headsAmong(segments);
    const entries = segments.reduce((sum, { c }) => sum + c, 0);
    this.#learn(segments.length, entries, heads.filter(({ c }) => c > 0).length);
    const isEnd = segments.length < limit && entries <= ENTRIES_MAX;
    return { heads, next: isEnd ? undefined : segments.at(-1)?.k };
  }

  #learn(segments: number, entries: number, keys: number): void {
    const segmentsEach = segments / Math.max(1, keys);
    if (segmentsEach > SEGMENTS_EACH_MAX) this.#unscanned = UNSCANNED;
    this.#segmentsEach = Math.min(Math.max(1, segmentsEach), SEGMENTS_EACH_MAX);
    this.#entriesEach = entries / Math.max(1, segments);
  }

  async #readSegments(
    { from, isAfter, to }: Range,
    limit: number,
    deadline: Deadline,
  ): Promise<readonly ScannedSegment[]> {
    const keys = { [isAfter ? "$gt" : "$gte"]: from, ...(to === undefined ? {} : { $lt: to }) };
    const entries = this.#entriesEach > ENTRIES_EACH_MAX ? LAST_ENTRY : ALL_ENTRIES;
    const reply = await this.#database.find(
      {
        find: this.#database.names.segments,
        filter: { k: keys },
        projection: { k: 1, s: 1, c: 1, g: 1, v: 1, b: 1, t: 1, ...entries },
        sort: { k: 1, s: -1 },
        hint: INDEXES.log.name,
        limit,
        batchSize: limit,
        singleBatch: true,
      },
      { deadline },
    );
    return firstBatch<ScannedSegment>(reply);
  }
}

/** Without values, either way. */
const ALL_ENTRIES = { "e.a": 1, "e.z": 1, "e.h": 1, "e.t": 1, "e.u": 1, "e.m": 1 };
const LAST_ENTRY = {
  e: [{ $unsetField: { field: "d", input: { $arrayElemAt: ["$e", -1] } } }],
};

type ScannedSegment = Pick<SegmentDocument, "_id" | "k" | "s" | "c" | "g" | "v" | "b" | "t" | "e">;

function headsAmong(segments: readonly ScannedSegment[]): readonly HeadDocument[] {
  return segments.filter(({ k }, i) => k !== segments[i - 1]?.k).map(toHeadDocument);
}

function toHeadDocument({ _id: i, k, t, e, ...rest }: ScannedSegment): HeadDocument {
  return { ...rest, _id: k, i, t: t ?? null, e: e.at(-1) ?? null };
}
