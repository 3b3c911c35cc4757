import type { Document } from "mongodb";
import type { Key } from "../../key.ts";
import type { Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import type { EntryDocument } from "./documents.ts";

/** A position in the log of a key's present life. */
export interface Place {
  readonly key: Key;
  readonly incarnation: string;
  readonly position: number;
}

/** What of an entry is wanted: its time alone, all but its value, or all. */
export type Detail = "time" | "info" | "all";

interface FoundPlace {
  /** Index of the place. */
  readonly n: number;
  readonly g?: string;
  readonly e?: EntryDocument;
}

/**
 * Reads the entries at many places in one command: for each, the segment with the greatest start that
 * is not above the place, by one seek of the index. Missing is what retention has removed. What a
 * delete has ended is still there for the moment that a read may take.
 */
export async function readPlaces(
  database: Database,
  places: readonly Place[],
  detail: Detail,
  deadline: Deadline,
): Promise<readonly (EntryDocument | undefined)[]> {
  if (places.length === 0) return [];
  // A key that starts with a dollar would be taken for the name of a field.
  const wanted = places.map(({ key, position }, n) => ({ n, k: { $literal: key }, p: position }));
  const stages = [
    { $documents: wanted },
    { $lookup: lookupIn(database.names.segments) },
    ...entryStages(detail),
  ];
  const found = await database.aggregate<FoundPlace & Document>(stages, { deadline });
  const entries = places.map((): EntryDocument | undefined => undefined);
  for (const { n, g, e } of found) if (g === places[n]?.incarnation) entries[n] = e;
  return entries;
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

/** Takes the entry out of its segment. Retention cuts the front, so places count from the end. */
function entryStages(detail: Detail): Document[] {
  const fromEnd = { $subtract: ["$p", { $add: ["$d.s", "$d.c"] }] };
  const isInside = { $gte: [{ $add: [fromEnd, { $size: "$d.e" }] }, 0] };
  const entry = { $cond: [isInside, { $arrayElemAt: ["$d.e", fromEnd] }, "$$REMOVE"] };
  const projections: Record<Detail, Document[]> = {
    all: [],
    info: [{ $project: { "e.d": 0 } }],
    time: [{ $project: { n: 1, g: 1, "e.a": 1 } }],
  };
  return [{ $unwind: "$d" }, { $project: { n: 1, g: "$d.g", e: entry } }, ...projections[detail]];
}
