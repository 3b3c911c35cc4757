import { ObjectId, type ClientSession, type Document } from "mongodb";
import type { Key } from "../../key.ts";
import type { Entry, EntryInfo } from "../../store.ts";
import { DURABLE, firstBatch, MAJORITY, type Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import {
  NO_STATE,
  toEntry,
  toEntryInfo,
  type EntryDocument,
  type KeyState,
  type LiveKey,
  type SegmentDocument,
} from "./documents.ts";
import type { Shown } from "./journal.ts";

/** The newest segment of a key, with its last entry alone. */
export interface HeadDocument {
  /** The key. */
  readonly _id: string;
  readonly i: ObjectId;
  readonly s: number;
  readonly c: number;
  readonly g: string;
  readonly v: number;
  readonly b: number;
  readonly t: 0 | ObjectId | null;
  /** Missing of a tombstone. */
  readonly e?: EntryDocument | null;
}

/**
 * Finds the newest segment of each key. The sort is the index's order, so MongoDB answers the group
 * from one seek per key (DISTINCT_SCAN), however long the histories are.
 */
export function headsPipeline(keys: readonly string[], values: boolean): Document[] {
  const last = { $arrayElemAt: ["$e", -1] };
  return [
    { $match: { k: { $in: keys } } },
    { $sort: { k: 1, s: -1 } },
    {
      $group: {
        _id: "$k",
        i: { $first: "$_id" },
        s: { $first: "$s" },
        c: { $first: "$c" },
        g: { $first: "$g" },
        v: { $first: "$v" },
        b: { $first: "$b" },
        t: { $first: "$t" },
        e: { $first: last },
      },
    },
    ...(values ? [] : [{ $project: { "e.d": 0 } }]),
  ];
}

export function toState(
  head: Pick<HeadDocument, "s" | "c" | "g" | "v" | "b"> & {
    readonly e?: Pick<EntryDocument, "a"> | null | undefined;
  },
): KeyState {
  const { e: entry } = head;
  if (head.c === 0 || entry === undefined || entry === null) {
    return { next: head.s + 1, live: undefined };
  }
  const live: LiveKey = {
    incarnation: head.g,
    version: head.v + head.c - 1,
    createdAt: entry.a,
    base: head.b,
    position: head.s + head.c - 1,
  };
  return { next: live.position + 1, live };
}

/** The latest entry of a head; undefined of a tombstone. */
export function latestInfo(head: HeadDocument): EntryInfo | undefined {
  if (head.c === 0 || head.e === undefined || head.e === null) return undefined;
  return toEntryInfo(head.g, head.v + head.c - 1, head.e);
}

export function latestEntry(head: HeadDocument): Entry | undefined {
  if (head.c === 0 || head.e === undefined || head.e === null) return undefined;
  return toEntry(head.g, head.v + head.c - 1, head.e);
}

/** Reads the heads of some keys, by key. Keys that no document is about are left out. */
export async function readHeads(
  database: Database,
  keys: readonly Key[],
  values: boolean,
  at: { readonly deadline: Deadline; readonly session?: ClientSession },
): Promise<Map<string, HeadDocument>> {
  if (keys.length === 0) return new Map();
  const { segments } = database.names;
  const pipeline = headsPipeline(keys, values);
  const read = async (): Promise<readonly HeadDocument[]> => {
    if (values && keys.length === 1) return readHead(database, keys, at);
    if (values || at.session !== undefined) {
      return database.aggregate<HeadDocument>(pipeline, { collection: segments, ...at });
    }
    // Without values all heads of a batch fit one reply, which the driver's cursors cost more than.
    const command = { aggregate: segments, pipeline, cursor: { batchSize: keys.length + 1 } };
    const reply = await database.read({ ...command, readConcern: MAJORITY }, at.deadline);
    return firstBatch<HeadDocument>(reply);
  };
  const heads = await database.readKept(at.deadline, read, (found) => found.map(toShown));
  return new Map(heads.map((head) => [head._id, head]));
}

/** The newest segment of a key as `Journal` remembers it. */
export function toShown({ _id: key, i, s }: Pick<HeadDocument, "_id" | "i" | "s">): Shown[number] {
  return [key, `${s} ${i.toHexString()}`];
}

/** The head of one key, with its value, as a command that costs less; it always fits one reply. */
async function readHead(
  database: Database,
  [key]: readonly Key[],
  at: { readonly deadline: Deadline; readonly session?: ClientSession },
): Promise<readonly HeadDocument[]> {
  const reply = await database.find(
    {
      find: database.names.segments,
      filter: { k: key },
      sort: { k: 1, s: -1 },
      limit: 1,
      singleBatch: true,
      // This form of a slice takes MongoDB a third less time for a lone key than the expression of that name.
      projection: { k: 0, r: 0, e: { $slice: -1 } },
    },
    at,
  );
  const found = firstBatch<Omit<SegmentDocument, "k">>(reply);
  return found.map(({ _id: i, e, t = null, ...rest }) => {
    return { ...rest, _id: key ?? "", i, t, e: e.at(-1) ?? null };
  });
}

/** What a writer needs to know of a key before it can write. */
export interface LoadedKey {
  readonly state: KeyState;
  /** The newest segment; undefined where no document is about the key. */
  readonly id: ObjectId | undefined;
  /** The latest entry, where values were asked for. */
  readonly latest: Entry | undefined;
}

/**
 * Reads where the logs of some keys end, as a majority has them. A tombstone that a sweep has claimed
 * is first taken back: the sweep leaves it alone from then on, for longer than a writer remembers.
 */
export async function loadKeys(
  database: Database,
  keys: readonly Key[],
  values: boolean,
  deadline: Deadline,
): Promise<Map<Key, LoadedKey>> {
  const loaded = new Map<Key, LoadedKey>();
  for (let left = keys; left.length > 0;) {
    const heads = await readHeads(database, left, values, { deadline });
    const claimed: HeadDocument[] = [];
    for (const key of left) {
      const head = heads.get(key);
      if (head !== undefined && isClaimed(head)) claimed.push(head);
      else loaded.set(key, toLoaded(head, values));
    }
    left = left.filter((key) => !loaded.has(key));
    if (claimed.length > 0) await takeBack(database, claimed, deadline);
  }
  return loaded;
}

function toLoaded(head: HeadDocument | undefined, values: boolean): LoadedKey {
  if (head === undefined) return { state: NO_STATE, id: undefined, latest: undefined };
  const latest = values ? latestEntry(head) : undefined;
  return { state: toState(head), id: head.i, latest };
}

export function isClaimed(head: Pick<HeadDocument, "t">): boolean {
  return head.t instanceof ObjectId;
}

/** The statements that give claimed tombstones back to their keys. */
export function takeBackUpdates(heads: readonly HeadDocument[]): Document[] {
  return heads.map((head) => ({
    q: { _id: head.i, k: head._id, t: head.t },
    u: { $set: { t: 0 } },
  }));
}

async function takeBack(
  database: Database,
  heads: readonly HeadDocument[],
  deadline: Deadline,
): Promise<void> {
  // It may be repeated at will, so a lost answer is retried like a read's.
  await database.read(
    {
      update: database.names.segments,
      updates: takeBackUpdates(heads),
      ordered: false,
      writeConcern: DURABLE,
    },
    deadline,
  );
}

/** The first version that retention has left, by key, of keys that retention has ever touched. */
export async function readFloors(
  database: Database,
  anchors: readonly { readonly key: Key; readonly live: LiveKey }[],
  at: { readonly deadline: Deadline; readonly session?: ClientSession },
): Promise<Map<Key, number>> {
  if (anchors.length === 0) return new Map();
  const reply = await database.find(
    {
      find: database.names.segments,
      filter: { $or: anchors.map(({ key, live }) => ({ k: key, s: live.base })) },
      projection: { _id: 0, k: 1, f: 1 },
      batchSize: 1000,
    },
    at,
  );
  const floors = new Map<Key, number>();
  for (const { k, f } of firstBatch<{ readonly k: Key; readonly f?: number }>(reply)) {
    if (f !== undefined) floors.set(k, f);
  }
  return floors;
}
