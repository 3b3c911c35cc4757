import type { Timestamp } from "mongodb";
import { StateError } from "../../errors.ts";
import { serverCode } from "./classify.ts";
import type { Deadline } from "./deadline.ts";
import { DURABLE, firstBatch, type Database } from "./database.ts";

/** Raised when a newer server writes what an older one could not read. */
const SCHEMA_VERSION = 1;

/** Past the 24 hours that the store itself keeps to, by a clock that may differ by as much as this. */
const REQUEST_EXPIRY_SECONDS = 25 * 60 * 60;

const NAMESPACE_EXISTS = 48;

/** Names of the collections of one state. */
export interface Collections {
  readonly segments: string;
  readonly requests: string;
  readonly meta: string;
}

export function collectionNames(prefix: string): Collections {
  const full = (name: string): string => (prefix === "" ? name : `${prefix}_${name}`);
  return { segments: full("segments"), requests: full("requests"), meta: full("meta") };
}

/** Indexes of the segments, by the name that hints use. */
export const INDEXES = {
  /** The log: its uniqueness decides every race. Newest first, so that a scan meets the head first. */
  log: { name: "log", key: { k: 1, s: -1 }, unique: true },
  /** One item per key, however long its history: what lists of keys walk along. */
  listed: { name: "listed", key: { h: 1, k: 1 }, partialFilterExpression: { h: true } },
  /** What a delete or retention left to be cleared. */
  clearable: {
    name: "clearable",
    key: { t: 1 },
    partialFilterExpression: { t: { $exists: true } },
  },
  requests: {
    name: "requests",
    key: { "r.i": 1 },
    partialFilterExpression: { "r.i": { $exists: true } },
  },
} as const;

/** What the store keeps about itself. */
export interface MetaDocument {
  readonly _id: "schema";
  readonly version: number;
  /** When the feed began, on MongoDB's clock; missing where it was no replica set then. */
  readonly since?: Timestamp;
  /** Where the feed begins by now: followers resume from here on. */
  readonly feedFrom?: Timestamp;
}

/**
 * Creates what is missing. Every step may be done by several processes at once, and again: an index
 * that is there is left alone, and of ten first documents one stays.
 */
export async function ensureSchema(database: Database, deadline: Deadline): Promise<void> {
  const known = await readMeta(database, deadline);
  if (known !== undefined) return checkVersion(known);
  const { names } = database;
  // A multi-document transaction may not create a collection, so all of them are created here.
  for (const name of [names.segments, names.requests, names.meta]) {
    await createCollection(database, name, deadline);
  }
  await database.command(
    {
      createIndexes: names.segments,
      indexes: Object.values(INDEXES),
      writeConcern: DURABLE,
    },
    deadline,
  );
  const expiry = { name: "expiry", key: { at: 1 }, expireAfterSeconds: REQUEST_EXPIRY_SECONDS };
  const reply = await database.command(
    { createIndexes: names.requests, indexes: [expiry], writeConcern: DURABLE },
    deadline,
  );
  const { operationTime: since } = reply as { readonly operationTime?: Timestamp };
  const $setOnInsert = { version: SCHEMA_VERSION, ...(since === undefined ? {} : { since }) };
  await database.command(
    {
      update: names.meta,
      updates: [{ q: { _id: "schema" }, u: { $setOnInsert }, upsert: true }],
      writeConcern: DURABLE,
    },
    deadline,
  );
  const created = await readMeta(database, deadline);
  if (created !== undefined) checkVersion(created);
}

export async function readMeta(
  database: Database,
  deadline: Deadline,
): Promise<MetaDocument | undefined> {
  const command = { find: database.names.meta, filter: { _id: "schema" }, limit: 1 };
  const reply = await database.find(command, { deadline });
  return firstBatch<MetaDocument>(reply)[0];
}

async function createCollection(
  database: Database,
  create: string,
  deadline: Deadline,
): Promise<void> {
  try {
    await database.command({ create, writeConcern: { w: "majority" } }, deadline);
  } catch (error) {
    if (serverCode(error) !== NAMESPACE_EXISTS) throw error;
  }
}

function checkVersion(meta: MetaDocument): void {
  if (meta.version === SCHEMA_VERSION) return;
  throw new StateError(
    "store_incompatible",
    `The data in this database has schema version ${meta.version}; this server knows ` +
      `version ${SCHEMA_VERSION}. Start a server that is at least as new as the one that wrote it.`,
  );
}
