import type { Key } from "../../key.ts";
import { REQUEST_ID_TTL_MS } from "../../limits.ts";
import type { Entry, Transaction } from "../../store.ts";
import type { Head, Heads } from "../shared/plan.ts";
import {
  keysOfBatch,
  type BatchState,
  type RememberedOutcome,
  type RememberedRequest,
} from "./batch.ts";
import { latestStatement, toLatestRow } from "./read-statements.ts";
import { toBuffer, toNumber, toText } from "./rows.ts";
import type { Rows, Session } from "./session.ts";
import {
  hexLiteral,
  ifAffected,
  integerLiteral,
  keyList,
  keyLiterals,
  textLiteral,
  type Tables,
} from "./sql.ts";
import type { DeletedLife } from "./sweep.ts";

export interface LockRequest {
  readonly transactions: readonly Transaction[];
  readonly tables: Tables;
  /** Statements to run first, in the same transaction. */
  readonly first: readonly string[];
  /** Whether keys that do not exist are to be held against creation. */
  readonly holdAbsent: boolean;
  readonly now: number;
  readonly deadline: number;
}

/** What a batch is planned from, held still until the transaction ends. */
export interface LockedState extends BatchState {
  /** Rows that were made to hold keys which do not exist. */
  readonly placeholders: readonly Key[];
  /** Request ids past their time, which stand in the way of their own repetition. */
  readonly expiredRequests: readonly string[];
  /** Imports of an incarnation whose old versions a delete has left to be cleared. */
  readonly uncleared: readonly DeletedLife[];
}

/** Locks the heads of a batch, in key order, and reads all that its planning needs, in one round trip. */
export async function lockBatch(session: Session, request: LockRequest): Promise<LockedState> {
  const { transactions, tables, now } = request;
  const keys = keysOfBatch(transactions);
  const readKeys = new Set(transactions.flatMap(({ reads }) => reads));
  const requestIds = transactions.flatMap((one) => (one.request ? [one.request.id] : []));
  const imports = importsOf(transactions);
  const statements = [...request.first];
  if (request.holdAbsent && keys.length > 0) statements.push(placeholderStatement(tables, keys));
  // The index by name, since a small table would otherwise be scanned, and rows of others waited for.
  const select = (what: () => string, isWanted: boolean): number =>
    isWanted ? statements.push(what()) - 1 : -1;
  const heads = select(() => headsStatement(tables, keys), keys.length > 0);
  const requests = select(() => requestsStatement(tables, requestIds), requestIds.length > 0);
  const entries = select(() => latestStatement(tables, [...readKeys], true), readKeys.size > 0);
  const uncleared = select(() => unclearedStatement(tables, imports), imports.length > 0);
  const results = await session.run(statements, request.deadline);
  const remembered = readRequests(results[requests] ?? [], now);
  return {
    ...readHeads(results[heads] ?? [], keys),
    ...remembered,
    entries: readEntries(results[entries] ?? [], readKeys),
    uncleared: readUncleared(results[uncleared] ?? []),
  };
}

function headsStatement(tables: Tables, keys: readonly Key[]): string {
  return (
    `SELECT key_bytes, incarnation, version, created_at, first_version FROM ${tables.heads} ` +
    `FORCE INDEX (PRIMARY) WHERE key_bytes IN (${keyList(keys)}) ORDER BY key_bytes FOR UPDATE`
  );
}

/** Inserting a row of version 0 takes the lock that a key without a row can't have. */
function placeholderStatement(tables: Tables, keys: readonly Key[]): string {
  const rows = keyLiterals(keys).map((key) => `(${key},'',0,0,0,0,'')`);
  return (
    `INSERT INTO ${tables.heads} ` +
    "(key_bytes, incarnation, version, previous_version, first_version, created_at, stamp) VALUES " +
    `${rows.join(",")} ON DUPLICATE KEY UPDATE key_bytes = VALUES(key_bytes)`
  );
}

function readHeads(
  rows: Rows,
  keys: readonly Key[],
): { readonly heads: Heads; readonly placeholders: readonly Key[] } {
  const heads: Heads = new Map(keys.map((key) => [key, undefined]));
  const placeholders: Key[] = [];
  for (const row of rows) {
    const key = toText(row[0]) as Key;
    const head: Head = {
      incarnation: toText(row[1]) ?? "",
      version: toNumber(row[2]),
      createdAt: toNumber(row[3]),
      firstVersion: toNumber(row[4]),
    };
    if (head.version === 0) placeholders.push(key);
    else heads.set(key, head);
  }
  return { heads, placeholders };
}

function requestsStatement(tables: Tables, ids: readonly string[]): string {
  return (
    `SELECT id, fingerprint, created_at, outcome FROM ${tables.requests} ` +
    `WHERE id IN (${ids.map(hexLiteral).join(",")})`
  );
}

function readRequests(
  rows: Rows,
  now: number,
): {
  readonly requests: ReadonlyMap<string, RememberedRequest>;
  readonly expiredRequests: readonly string[];
} {
  const requests = new Map<string, RememberedRequest>();
  const expiredRequests: string[] = [];
  for (const [id, fingerprint, createdAt, outcome] of rows) {
    const digits = toBuffer(id).toString("hex");
    if (toNumber(createdAt) + REQUEST_ID_TTL_MS <= now) expiredRequests.push(digits);
    else {
      requests.set(digits, {
        fingerprint: toBuffer(fingerprint).toString("hex"),
        outcome: JSON.parse(toText(outcome) ?? "") as RememberedOutcome,
      });
    }
  }
  return { requests, expiredRequests };
}

export function forgetRequests(tables: Tables, ids: readonly string[]): string[] {
  if (ids.length === 0) return [];
  return [`DELETE FROM ${tables.requests} WHERE id IN (${ids.map(hexLiteral).join(",")})`];
}

function readEntries(rows: Rows, keys: ReadonlySet<Key>): Map<Key, Entry | undefined> {
  const entries = new Map<Key, Entry | undefined>();
  for (const key of keys) entries.set(key, undefined);
  // The statement asked for values.
  for (const row of rows) {
    const { key, entry } = toLatestRow(row, true);
    entries.set(key, entry as Entry);
  }
  return entries;
}

function importsOf(transactions: readonly Transaction[]): { key: Key; incarnation: string }[] {
  return transactions.flatMap(({ puts }) =>
    puts.flatMap(({ key, imported }) =>
      imported === undefined ? [] : [{ key, incarnation: imported.incarnation }],
    ),
  );
}

function unclearedStatement(
  tables: Tables,
  imports: readonly { readonly key: Key; readonly incarnation: string }[],
): string {
  const pairs = imports.map(
    ({ key, incarnation }) => `(${textLiteral(key)},${textLiteral(incarnation)})`,
  );
  return (
    `SELECT key_bytes, incarnation FROM ${tables.deleted} ` +
    `WHERE (key_bytes, incarnation) IN (${pairs.join(",")})`
  );
}

function readUncleared(rows: Rows): LockedState["uncleared"] {
  return rows.map(([key, incarnation]) => ({
    keyBytes: toBuffer(key),
    incarnation: toText(incarnation) ?? "",
  }));
}

/**
 * A row of every commit: of two attempts under one id, only one can ever have it. Where `affected` is
 * given, it also checks that the statement before it affected so many rows, which saves a statement.
 */
export function commitIdStatement(
  tables: Tables,
  id: string,
  { number, affected }: { readonly number: number; readonly affected?: number },
): string {
  const attempt = affected === undefined ? integerLiteral(number) : ifAffected(affected, number);
  return `INSERT INTO ${tables.commits} (id, attempt) VALUES (${hexLiteral(id)},${attempt})`;
}
