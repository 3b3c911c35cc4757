import type { Document } from "mongodb";
import type { Key } from "../../key.ts";
import { firstBatch, type Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import type { EntryDocument } from "./documents.ts";
import { INDEXES } from "./schema.ts";
import { SegmentMap, STRETCH, stretchOf } from "./segment-map.ts";

/** A position in the log of a key's present life. */
export interface Place {
  readonly key: Key;
  readonly incarnation: string;
  readonly position: number;
}

/** What of an entry is wanted: its time alone, all but its value, or all. */
type Detail = "time" | "info" | "all";

/** Starts of segments that one call learns at most. */
const LEARNED_MAX = 4096;

/** A place that is asked for, and where its entry goes. */
interface Wanted {
  readonly index: number;
  readonly place: Place;
}

interface Reading {
  readonly detail: Detail;
  readonly deadline: Deadline;
  readonly entries: (EntryDocument | undefined)[];
}

/**
 * The entries of one segment that were asked for, in that order, or the one that was; null or missing
 * is what retention has removed.
 */
interface PickedSegment {
  readonly k: Key;
  readonly g: string;
  readonly s: number;
  readonly c: number;
  readonly p?: readonly (EntryDocument | null)[] | EntryDocument | null;
}

interface SoughtSegment {
  /** Index of the place. */
  readonly n: number;
  readonly g: string;
  readonly s: number;
  readonly e?: EntryDocument;
}

/**
 * Reads entries by their places. Where the start of a segment is known, an entry costs a fraction of
 * what it costs MongoDB to seek the segment that a place lies in. Of a stretch of a log that nothing
 * is known of, each version is first taken to stand alone in its segment, as those of a lone writer
 * do; where that was wrong, the index tells what starts in the stretch.
 */
export class PlaceReader {
  readonly #database: Database;
  readonly #map = new SegmentMap();

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Missing is what retention has removed. What a delete has ended is still there for the moment that
   * a read may take.
   */
  async read(
    places: readonly Place[],
    detail: Exclude<Detail, "time">,
    deadline: Deadline,
  ): Promise<readonly (EntryDocument | undefined)[]> {
    const [wanted, reading] = begin(places, detail, deadline);
    const left = await this.#pick(wanted, reading, (place) => {
      return this.#map.knows(place) ? this.#map.startOf(place) : place.position;
    });
    const known = left.filter(({ place }) => this.#map.knows(place));
    const unknown = left.filter(({ place }) => !this.#map.knows(place));
    await this.#learn(unknown, deadline);
    const hidden = await this.#pick(unknown, reading, (place) => this.#map.startOf(place));
    for (const [{ place }, start] of await this.#seek([...known, ...hidden], reading)) {
      this.#map.note(place, [start]);
    }
    return reading.entries;
  }

  /** Reads the times of entries at places that are far apart, so that nothing of them is worth keeping. */
  async seekTimes(
    places: readonly Place[],
    deadline: Deadline,
  ): Promise<readonly (EntryDocument | undefined)[]> {
    const [wanted, reading] = begin(places, "time", deadline);
    await this.#seek(wanted, reading);
    return reading.entries;
  }

  /** Reads by the starts that are known or likely, and answers what was not found so. */
  async #pick(
    wanted: readonly Wanted[],
    reading: Reading,
    startOf: (place: Place) => number | undefined,
  ): Promise<readonly Wanted[]> {
    const segments = new Map<string, Picks>();
    const left: Wanted[] = [];
    for (const one of wanted) {
      const { place } = one;
      const start = startOf(place);
      if (start === undefined) {
        left.push(one);
        continue;
      }
      const name = segmentName(place.key, start);
      const picks = segments.get(name) ?? { key: place.key, start, wanted: [] };
      segments.set(name, picks);
      picks.wanted.push(one);
    }
    if (segments.size === 0) return left;
    const command = pickCommand(this.#database.names.segments, [...segments.values()], reading);
    const reply = await this.#database.find(command, reading);
    for (const found of firstBatch<PickedSegment>(reply)) {
      const name = segmentName(found.k, found.s);
      const picks = segments.get(name);
      if (picks === undefined) continue;
      segments.delete(name);
      const picked = isList(found.p) ? found.p : [found.p];
      picks.wanted.forEach((one, i) => {
        const { incarnation, position } = one.place;
        const isIn = found.g === incarnation && position < found.s + found.c;
        if (isIn) reading.entries[one.index] = picked[i] ?? undefined;
        else left.push(one);
      });
    }
    for (const picks of segments.values()) left.push(...picks.wanted);
    return left;
  }

  /** Learns what starts in the stretches of these places, where nothing is known of them. */
  async #learn(wanted: readonly Wanted[], deadline: Deadline): Promise<void> {
    const stretches = new Map<string, { readonly place: Place; readonly starts: number[] }>();
    for (const { place } of wanted) {
      if (this.#map.knows(place)) continue;
      stretches.set(segmentName(place.key, stretchOf(place)), { place, starts: [] });
    }
    if (stretches.size === 0) return;
    const ranges = [...stretches.values()].map(({ place }) => {
      const first = stretchOf(place);
      return { k: place.key, s: { $gte: first, $lt: first + STRETCH } };
    });
    const reply = await this.#database.find(
      {
        find: this.#database.names.segments,
        filter: { $or: ranges },
        projection: { _id: 0, k: 1, s: 1 },
        hint: INDEXES.log.name,
        limit: LEARNED_MAX,
        batchSize: LEARNED_MAX,
        singleBatch: true,
      },
      { deadline },
    );
    for (const { k, s } of firstBatch<{ readonly k: Key; readonly s: number }>(reply)) {
      stretches.get(segmentName(k, s - (s % STRETCH)))?.starts.push(s);
    }
    for (const { place, starts } of stretches.values()) this.#map.note(place, starts);
  }

  /**
   * Finds, for each place, the segment with the greatest start that is not above it; answers those
   * starts.
   */
  async #seek(
    wanted: readonly Wanted[],
    { detail, deadline, entries }: Reading,
  ): Promise<readonly (readonly [Wanted, number])[]> {
    if (wanted.length === 0) return [];
    // A key that starts with a dollar would be taken for the name of a field.
    const documents = wanted.map(({ place: { key, position } }, n) => {
      return { n, k: { $literal: key }, p: position };
    });
    const stages = [
      { $documents: documents },
      { $lookup: lookupIn(this.#database.names.segments) },
      { $unwind: "$d" },
      { $project: { n: 1, g: "$d.g", s: "$d.s", e: soughtEntry(detail) } },
    ];
    const found = await this.#database.aggregate<SoughtSegment & Document>(stages, { deadline });
    const starts: [Wanted, number][] = [];
    for (const { n, g, s, e } of found) {
      const one = wanted[n];
      if (one === undefined || one.place.incarnation !== g) continue;
      entries[one.index] = e;
      starts.push([one, s]);
    }
    return starts;
  }
}

function begin(
  places: readonly Place[],
  detail: Detail,
  deadline: Deadline,
): [readonly Wanted[], Reading] {
  const entries = places.map((): EntryDocument | undefined => undefined);
  return [places.map((place, index) => ({ index, place })), { detail, deadline, entries }];
}

/** A segment, by its place in the log, and what is wanted of it. */
interface Picks {
  readonly key: Key;
  readonly start: number;
  readonly wanted: Wanted[];
}

function segmentName(key: Key, start: number): string {
  return `${start}\0${key}`;
}

/** Takes single entries out of segments whose starts are given. */
function pickCommand(find: string, segments: readonly Picks[], { detail }: Reading): Document {
  const starts = Map.groupBy(segments, ({ key }) => key);
  const filters = [...starts].map(([k, some]) => ({
    k,
    s: { $in: some.map(({ start }) => start) },
  }));
  const [lone] = filters;
  const isLone = filters.length === 1;
  const names = segments.map(({ key, start }) => (isLone ? start : [key, start]));
  const which = { $indexOfArray: [{ $literal: names }, isLone ? "$s" : ["$k", "$s"]] };
  const positions = segments.map(({ wanted }) => wanted.map(({ place }) => place.position));
  // Retention cuts the front, so places count from the end.
  const entryAt = (position: Document | string): Document =>
    withDetail({ $arrayElemAt: ["$e", { $subtract: [position, { $add: ["$s", "$c"] }] }] }, detail);
  // Lists in a list would cost this side more than all the rest, and MongoDB a third as much again.
  const hasOneEach = positions.every(({ length }) => length === 1);
  return {
    find,
    filter: isLone ? lone : { $or: filters },
    hint: INDEXES.log.name,
    projection: {
      _id: 0,
      k: 1,
      g: 1,
      s: 1,
      c: 1,
      p: hasOneEach
        ? entryAt({ $arrayElemAt: [{ $literal: positions.flat() }, which] })
        : {
            $map: {
              input: { $arrayElemAt: [{ $literal: positions }, which] },
              in: entryAt("$$this"),
            },
          },
    },
    // What does not fit one reply of 16 MiB is sought like what was not found.
    batchSize: segments.length + 1,
    singleBatch: true,
  };
}

function isList(picked: PickedSegment["p"]): picked is readonly (EntryDocument | null)[] {
  return Array.isArray(picked);
}

function lookupIn(segments: string): Document {
  const isUpTo = { $and: [{ $eq: ["$k", "$$k"] }, { $lte: ["$s", "$$p"] }] };
  return {
    from: segments,
    as: "d",
    let: { k: "$k", p: "$p" },
    pipeline: [{ $match: { $expr: isUpTo } }, { $sort: { k: 1, s: -1 } }, { $limit: 1 }],
  };
}

/** The entry of a segment that was looked up, where retention has left it. */
function soughtEntry(detail: Detail): Document {
  const fromEnd = { $subtract: ["$p", { $add: ["$d.s", "$d.c"] }] };
  const isInside = {
    $and: [{ $lt: [fromEnd, 0] }, { $gte: [{ $add: [fromEnd, { $size: "$d.e" }] }, 0] }],
  };
  const entry = withDetail({ $arrayElemAt: ["$d.e", fromEnd] }, detail);
  return { $cond: [isInside, entry, "$$REMOVE"] };
}

function withDetail(entry: Document, detail: Detail): Document {
  if (detail === "all") return entry;
  if (detail === "info") return { $unsetField: { field: "d", input: entry } };
  return { a: { $getField: { field: "a", input: entry } } };
}
