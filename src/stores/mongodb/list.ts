import type { Document } from "mongodb";
import type { Key } from "../../key.ts";
import type { EntryInfo, HistoryPage } from "../../store.ts";
import { firstBatch, MAJORITY, type Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import { positionOf, toEntryInfo, type LiveKey, type SegmentDocument } from "./documents.ts";
import { readFloors, readHeads, toState } from "./states.ts";

/** Segments of one step through a history; each holds one entry or more. */
const SEGMENTS_EACH = 100;

type Segment = Omit<SegmentDocument, "_id">;

/** Answers a page of a key's history. Only metadata travels, though whole segments are read. */
export async function readHistory(
  database: Database,
  key: Key,
  page: HistoryPage,
  deadline: Deadline,
): Promise<readonly EntryInfo[]> {
  const head = (await readHeads(database, [key], false, { deadline })).get(key);
  const live = head && toState(head).live;
  if (head === undefined || live === undefined) return [];
  const history = { database, key, live, deadline, length: head.c };
  return page.order === "newest-first"
    ? newestFirst(history, page.before, page.limit)
    : oldestFirst(history, page.after, page.limit);
}

interface History {
  readonly database: Database;
  readonly key: Key;
  readonly live: LiveKey;
  readonly deadline: Deadline;
  /** How many versions there are to a segment, going by those that were seen last. */
  length: number;
}

async function newestFirst(
  history: History,
  before: number | undefined,
  limit: number,
): Promise<readonly EntryInfo[]> {
  const { live } = history;
  const found: EntryInfo[] = [];
  let last = Math.min(live.version, (before ?? Infinity) - 1);
  while (found.length < limit && positionOf(live, last) >= live.base) {
    const range = { $gte: live.base, $lte: positionOf(live, last) };
    const count = segmentsFor(limit - found.length, history);
    const segments = await readSegments(history, { range, order: -1, count });
    for (const segment of segments) {
      const entries = entriesOf(segment).filter((entry) => entry.version <= last);
      found.push(...entries.toReversed());
      // Retention takes from the oldest end, so below a removed version there is nothing.
      if (segment.e.length < segment.c) return found.slice(0, limit);
      last = segment.v - 1;
    }
    if (segments.length === 0) break;
  }
  return found.slice(0, limit);
}

async function oldestFirst(
  history: History,
  after: number,
  limit: number,
): Promise<readonly EntryInfo[]> {
  const { database, key, live, deadline } = history;
  const floors = await readFloors(database, [{ key, live }], { deadline });
  let next = Math.max(after + 1, floors.get(key) ?? 1);
  const found: EntryInfo[] = [];
  // The version that comes next may stand in the middle of a segment.
  const range = { $gte: live.base, $lte: positionOf(live, next) };
  let segments = await readSegments(history, { range, order: -1, count: 1 });
  for (;;) {
    for (const segment of segments) {
      found.push(...entriesOf(segment).filter((entry) => entry.version >= next));
      next = Math.max(next, segment.v + segment.c);
    }
    if (found.length >= limit || next > live.version) return found.slice(0, limit);
    const count = segmentsFor(limit - found.length, history);
    const above = { $gte: Math.max(live.base, positionOf(live, next)), $lte: live.position };
    segments = await readSegments(history, { range: above, order: 1, count });
    if (segments.length === 0) return found.slice(0, limit);
  }
}

/** How many segments probably hold so many versions; the first of them may begin in one's middle. */
function segmentsFor(versions: number, { length }: History): number {
  const count = length > 1 ? Math.ceil(versions / length) + 1 : versions;
  return Math.min(count, SEGMENTS_EACH);
}

async function readSegments(
  history: History,
  {
    range,
    order,
    count,
  }: { readonly range: Document; readonly order: 1 | -1; readonly count: number },
): Promise<readonly Segment[]> {
  const { database, key, live, deadline } = history;
  const reply = await database.read(
    {
      find: database.names.segments,
      filter: { k: key, s: range, g: live.incarnation },
      projection: { _id: 0, "e.d": 0, r: 0 },
      sort: { s: order },
      limit: count,
      batchSize: count,
      // A reply ends at 16 MiB; what did not fit is asked for with the next step.
      singleBatch: true,
      readConcern: MAJORITY,
    },
    deadline,
  );
  const segments = firstBatch<Segment>(reply);
  const versions = segments.reduce((sum, { c }) => sum + c, 0);
  if (segments.length > 0) history.length = versions / segments.length;
  return segments;
}

/** The versions that retention has left of a segment, oldest first. */
function entriesOf({ g, v, c, e }: Segment): readonly EntryInfo[] {
  const first = v + c - e.length;
  return e.map((entry, i) => toEntryInfo(g, first + i, entry));
}
