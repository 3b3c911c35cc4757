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
  readonly n: number;
  readonly d: readonly { readonly g: string; readonly e?: EntryDocument }[];
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
  const { segments } = database.names;
  // A key may begin with "$", and would otherwise be taken for the path of a field.
  const wanted = places.map(({ key, position }, n) => ({ n, k: { $literal: key }, p: position }));
  const found = await database.aggregate<FoundPlace & Document>(
    [{ $documents: wanted }, { $lookup: lookup(segments, detail) }, { $project: { n: 1, d: 1 } }],
    { deadline },
  );
  const entries = places.map((): EntryDocument | undefined => undefined);
  for (const { n, d } of found) {
    const [segment] = d;
    if (segment !== undefined && segment.g === places[n]?.incarnation) entries[n] = segment.e;
  }
  return entries;
}

function lookup(segments: string, detail: Detail): Document {
  const isUpTo = { $and: [{ $eq: ["$k", "$$k"] }, { $lte: ["$s", "$$p"] }] };
  // Retention takes from the front of a segment, so places are counted from its end.
  const fromEnd = { $subtract: ["$$p", { $add: ["$s", "$c"] }] };
  const isInside = { $gte: [{ $add: [fromEnd, { $size: "$e" }] }, 0] };
  const entry = { $cond: [isInside, { $arrayElemAt: ["$e", fromEnd] }, "$$REMOVE"] };
  const projections: Record<Detail, Document[]> = {
    all: [],
    info: [{ $project: { "e.d": 0 } }],
    time: [{ $project: { g: 1, "e.a": 1 } }],
  };
  return {
    from: segments,
    as: "d",
    let: { k: "$k", p: "$p" },
    pipeline: [
      { $match: { $expr: isUpTo } },
      { $sort: { k: 1, s: -1 } },
      { $limit: 1 },
      { $project: { _id: 0, g: 1, e: entry } },
      ...projections[detail],
    ],
  };
}
