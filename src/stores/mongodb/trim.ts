import type { Document } from "mongodb";
import type { Key } from "../../key.ts";
import { DURABLE, firstBatch, type Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import { firstVersionOf, positionOf } from "./documents.ts";
import { loadKeys, readFloors } from "./states.ts";

/** Which versions to remove of which life of a key. */
export interface TrimRange {
  readonly key: Key;
  readonly incarnation: string;
  readonly keepFrom: number;
  readonly limit: number;
}

/**
 * Empties the segments below a version and shortens the one that it stands in: the only changes that
 * a segment ever sees. An emptied segment keeps its place in the log until a sweep clears it, since a
 * writer may still aim at it; the first one stays for as long as the key lives, and remembers how far
 * retention has come. That is written last, so that what a crash leaves undone is done next time.
 */
export async function trimKey(
  database: Database,
  { key, incarnation, keepFrom, limit }: TrimRange,
  deadline: Deadline,
): Promise<number> {
  const live = (await loadKeys(database, [key], false, deadline)).get(key)?.state.live;
  if (live === undefined || live.incarnation !== incarnation) return 0;
  const floors = await readFloors(database, [{ key, live }], { deadline });
  const first = floors.get(key) ?? firstVersionOf(live);
  const target = Math.min(keepFrom, live.version, first + limit);
  if (target <= first) return 0;

  const { segments } = database.names;
  const from = await startOf(database, { key, position: positionOf(live, first) }, deadline);
  const range = { $gte: from ?? live.base, $lt: positionOf(live, target) };
  const inRange = { k: key, g: incarnation, s: range, "e.0": { $exists: true } };
  const end = { $add: ["$v", "$c"] };
  const isBelow = { $lte: [end, target] };
  const isFirst = { $eq: ["$s", "$b"] };
  const updates = [
    {
      q: { ...inRange, $expr: { $and: [isBelow, { $not: [isFirst] }] } },
      u: { $set: { e: [], t: 0 } },
      multi: true,
    },
    { q: { ...inRange, $expr: { $and: [isBelow, isFirst] } }, u: { $set: { e: [] } } },
    {
      q: { ...inRange, $expr: { $gt: [end, target] } },
      u: [{ $set: { e: { $slice: ["$e", { $subtract: [target, end] }] } } }],
    },
    { q: { k: key, g: incarnation, s: live.base }, u: { $max: { f: target } } },
  ];
  await database.read(
    { update: segments, updates, ordered: true, writeConcern: DURABLE },
    deadline,
  );
  return target - first;
}

/** Position of the segment that a place lies in. */
async function startOf(
  database: Database,
  { key, position }: { readonly key: Key; readonly position: number },
  deadline: Deadline,
): Promise<number | undefined> {
  const command: Document = {
    find: database.names.segments,
    filter: { k: key, s: { $lte: position } },
    sort: { s: -1 },
    projection: { _id: 0, s: 1 },
    limit: 1,
  };
  const reply = await database.find(command, { deadline });
  return firstBatch<{ readonly s: number }>(reply)[0]?.s;
}
