import type { Document } from "mongodb";
import type { Key } from "../../key.ts";
import type { Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import type { LiveKey } from "./documents.ts";
import type { PlaceReader } from "./places.ts";

/** A moment in the life of a key, before its latest version was made. */
export interface Moment {
  readonly key: Key;
  readonly live: LiveKey;
  /** Milliseconds since 1970. */
  readonly asOf: number;
}

/** What times are read with. */
export interface Readers {
  readonly database: Database;
  readonly places: PlaceReader;
}

/** Narrows down the last entry at or before a moment. */
interface Search extends Moment {
  /** Its entry is not after the moment; the place before the first where none is known. */
  low: number;
  /** Its entry is after the moment. */
  high: number;
}

/** Below this many places between the bounds, all their times are read at once. */
const RANGE_MAX = 64;

/** Places looked at between the bounds of a search that is wider. */
const PROBES = 15;

/** Times of a stretch of a log: that of the place `s + i` is `a[i]`, counted from the end. */
interface TimedSegment {
  readonly s: number;
  readonly c: number;
  readonly a: readonly number[];
}

/**
 * Finds the position of the entry that was the latest at each moment; the one before the first where
 * there was none yet. Times never go back within a life, so a wide search is cut to a sixteenth with
 * each command, which all searches share.
 */
export async function findMoments(
  readers: Readers,
  moments: readonly Moment[],
  deadline: Deadline,
): Promise<readonly number[]> {
  const searches = moments.map((moment): Search => {
    return { ...moment, low: moment.live.base - 1, high: moment.live.position };
  });
  for (;;) {
    const open = searches.filter(({ low, high }) => high - low > 1);
    if (open.length === 0) return searches.map(({ low }) => low);
    const isWide = ({ low, high }: Search): boolean => high - low > RANGE_MAX;
    await probe(readers.places, open.filter(isWide), deadline);
    await readRanges(
      readers.database,
      open.filter((search) => !isWide(search)),
      deadline,
    );
  }
}

async function probe(
  reader: PlaceReader,
  searches: readonly Search[],
  deadline: Deadline,
): Promise<void> {
  const groups = groupEqual(searches);
  const probes = groups.flatMap((group) =>
    probesOf(group.first).map((position) => {
      const { key, live } = group.first;
      return { group, place: { key, incarnation: live.incarnation, position } };
    }),
  );
  const places = probes.map(({ place }) => place);
  const entries = await reader.seekTimes(places, deadline);
  probes.forEach(({ group, place }, i) => narrow(group.all, place.position, entries[i]?.a));
}

/** Searches of one key with the same bounds so far are one for MongoDB. */
function groupEqual(
  searches: readonly Search[],
): readonly { readonly first: Search; readonly all: Search[] }[] {
  const groups = new Map<string, { readonly first: Search; readonly all: Search[] }>();
  for (const search of searches) {
    const name = `${search.key}\0${search.low}\0${search.high}`;
    const group = groups.get(name) ?? { first: search, all: [] };
    groups.set(name, group);
    group.all.push(search);
  }
  return [...groups.values()];
}

/** Positions that divide what is between the bounds evenly. */
function probesOf({ low, high }: Search): readonly number[] {
  const step = (high - low) / (PROBES + 1);
  return Array.from({ length: PROBES }, (_, i) => Math.floor(low + step * (i + 1)));
}

/** Retention has removed what has no time: it is older than anything that is left. */
function narrow(searches: readonly Search[], position: number, time = -Infinity): void {
  for (const search of searches) {
    if (position <= search.low || position >= search.high) continue;
    if (time <= search.asOf) search.low = position;
    else search.high = position;
  }
}

async function readRanges(
  database: Database,
  searches: readonly Search[],
  deadline: Deadline,
): Promise<void> {
  if (searches.length === 0) return;
  const groups = groupEqual(searches);
  const wanted = groups.map(({ first }, n) => ({
    n,
    k: { $literal: first.key },
    g: { $literal: first.live.incarnation },
    p: first.high,
  }));
  const { segments } = database.names;
  const found = await database.aggregate<{ n: number; d: readonly TimedSegment[] } & Document>(
    [{ $documents: wanted }, { $lookup: rangeLookup(segments) }, { $project: { n: 1, d: 1 } }],
    { deadline },
  );
  for (const { n, d } of found) {
    const all = groups[n]?.all ?? [];
    for (const { s, c, a } of d) {
      for (let i = 0; i < c; i += 1) narrow(all, s + i, a[i - (c - a.length)]);
    }
  }
  // Places that were in no segment are those that a sweep has cleared after retention.
  for (const search of searches) search.low = Math.max(search.low, search.high - 1);
}

/** The segments that the places below `p` are in, as many as a range has places at most. */
function rangeLookup(segments: string): Document {
  const isBelow = {
    $and: [{ $eq: ["$k", "$$k"] }, { $lt: ["$s", "$$p"] }, { $eq: ["$g", "$$g"] }],
  };
  return {
    from: segments,
    as: "d",
    let: { k: "$k", g: "$g", p: "$p" },
    pipeline: [
      { $match: { $expr: isBelow } },
      { $sort: { k: 1, s: -1 } },
      { $limit: RANGE_MAX },
      { $project: { _id: 0, s: 1, c: 1, a: "$e.a" } },
    ],
  };
}
