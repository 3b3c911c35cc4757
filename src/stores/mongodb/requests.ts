import type { ClientSession, ObjectId } from "mongodb";
import { REQUEST_ID_TTL_MS } from "../../limits.ts";
import type { Outcome, RequestId, Transaction } from "../../store.ts";
import { DURABLE, firstBatch, type Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import { hexOf, requestKey, type RequestDocument } from "./documents.ts";

/**
 * Client's request ids. Those of writes stand in the segments that they wrote, so that both are in
 * place or neither; `requests` holds those of transactions over several keys, those that wrote
 * nothing, and copies of what a sweep took away.
 */
export type FoundRequests = ReadonlyMap<string, RequestDocument>;

/** A record of the `requests` collection. */
interface StoredRequest extends Omit<RequestDocument, "i"> {
  readonly _id: RequestDocument["i"];
}

/**
 * Looks ids up, as a majority has them. Whoever is about to write must call this after it has learned
 * where the key's log ends: the same id that is committed in between has then taken the place in the
 * log that this write is about to ask for.
 */
export async function findRequests(
  database: Database,
  transactions: readonly Transaction[],
  now: number,
  at: { readonly deadline: Deadline; readonly session?: ClientSession },
): Promise<FoundRequests> {
  const ids = transactions.flatMap(({ request }) => (request ? [requestKey(request.id)] : []));
  if (ids.length === 0) return new Map();
  const since = new Date(now - REQUEST_ID_TTL_MS);
  return database.readKept(
    at.deadline,
    () => lookUp(database, ids, since, at),
    (found) => [...found].map(([id, record]) => [`request ${id}`, `${record.at.getTime()}`]),
  );
}

async function lookUp(
  database: Database,
  ids: readonly RequestDocument["i"][],
  since: Date,
  at: { readonly deadline: Deadline; readonly session?: ClientSession },
): Promise<FoundRequests> {
  const found = new Map<string, RequestDocument>();
  const { segments, requests } = database.names;
  const keep = (record: RequestDocument): void => {
    if (record.at > since) found.set(hexOf(record.i), record);
  };
  // A sweep copies an id to `requests` before it takes the segment away, so this order finds both.
  const written = await database.find(
    {
      find: segments,
      filter: { "r.i": { $in: ids } },
      // A segment may carry the ids of many more requests than those that are asked for.
      projection: {
        _id: 0,
        r: { $filter: { input: "$r", cond: { $in: ["$$this.i", ids] } } },
      },
      batchSize: 1000,
    },
    at,
  );
  for (const { r } of firstBatch<{ readonly r: readonly RequestDocument[] }>(written)) {
    r.forEach(keep);
  }
  const kept = await database.find(
    { find: requests, filter: { _id: { $in: ids } }, batchSize: 1000 },
    at,
  );
  for (const { _id, ...rest } of firstBatch<StoredRequest>(kept)) keep({ i: _id, ...rest });
  return found;
}

/** The outcome of a request that was committed before; undefined where it was not. */
export function replayOf(
  request: RequestId | undefined,
  found: FoundRequests,
): Outcome | undefined {
  const record = request === undefined ? undefined : found.get(request.id);
  if (request === undefined || record === undefined) return undefined;
  if (hexOf(record.f) !== request.fingerprint) return { outcome: "request-reused" };
  return {
    outcome: "committed",
    replayed: true,
    puts: record.p.map(({ g, v, a }) => ({ incarnation: g, version: v, createdAt: a })),
    deletes: record.d.map((versions) => ({ versions })),
    reads: [],
  };
}

/** The command that records requests which no segment holds. */
export function insertRequests(
  database: Database,
  records: readonly RequestDocument[],
): { insert: string; documents: StoredRequest[]; ordered: boolean } {
  const documents = records.map(({ i, ...rest }) => ({ _id: i, ...rest }));
  return { insert: database.names.requests, documents, ordered: false };
}

/** Segments whose ids are copied at a time, and ids of one command. */
const COPY_SEGMENTS = 10;
const COPY_IDS = 1000;

/** Keeps the ids findable that stand in segments which are about to go. Copied ones stay copied. */
export async function copyRequests(
  database: Database,
  segmentIds: readonly ObjectId[],
  now: number,
  deadline: Deadline,
): Promise<void> {
  const since = new Date(now - REQUEST_ID_TTL_MS);
  for (let start = 0; start < segmentIds.length; start += COPY_SEGMENTS) {
    const $in = segmentIds.slice(start, start + COPY_SEGMENTS);
    const reply = await database.find(
      { find: database.names.segments, filter: { _id: { $in } }, projection: { _id: 0, r: 1 } },
      { deadline },
    );
    const found = firstBatch<{ readonly r?: readonly RequestDocument[] }>(reply);
    const kept = found.flatMap(({ r = [] }) => r).filter(({ at }) => at > since);
    for (let first = 0; first < kept.length; first += COPY_IDS) {
      const insert = insertRequests(database, kept.slice(first, first + COPY_IDS));
      await database.read({ ...insert, writeConcern: DURABLE }, deadline);
    }
  }
}
