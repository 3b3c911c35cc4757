import { compareKeys, hashKey, type Key } from "../../key.ts";
import type { EntryInfo } from "../../store.ts";
import type { Heads, Write } from "../shared/plan.ts";
import type { BatchPlan } from "./batch.ts";
import { PARTITIONS } from "./schema.ts";
import { bytesLiteral, hexLiteral, integerLiteral, textLiteral, type Tables } from "./sql.ts";

/** A statement as text, or, for one large value, with its values apart. */
export type Statement = string | { readonly sql: string; readonly values: readonly Value[] };
type Value = Buffer | number | null;

/** A change as the feed stores it: key, incarnation, version, whether it is a delete, when. */
export type StoredChange = readonly [string, string, number, 0 | 1, number];

/** A value above this is sent as bytes: its hexadecimal text would be twice as long. */
const TEXT_VALUE_BYTES_MAX = 128 * 1024;

/** Multi-row statements end at about this many characters. */
const STATEMENT_CHARS_TARGET = 512 * 1024;

/**
 * Fails the statement where it is evaluated, as no number is above the largest. It aborts the commit
 * from inside the database, so that no answer need be awaited between its statements. The operand, a
 * whole number, keeps the optimizer from evaluating it in advance.
 */
function failure(operand: string): string {
  return `ABS(${operand}) + 1 + 18446744073709551615`;
}

const VERSION_COLUMNS =
  "key_bytes, incarnation, version, created_at, size, digest, content_type, author, message, value";

export interface WriteContext {
  readonly tables: Tables;
  /** The heads that the plan was made from. */
  readonly before: Heads;
  /** The heads that it leads to. */
  readonly after: Heads;
  /** Rows of `heads` that hold back creation, and are to go or to be replaced. */
  readonly placeholders: readonly Key[];
  readonly now: number;
  /** 16 hexadecimal digits that no other commit has. */
  readonly stamp: string;
}

/**
 * The statements that carry out a plan, in the order of their locks: heads by key, then what belongs
 * to this commit alone, and last the partitions, which every commit contends for.
 */
export function writeStatements(plan: BatchPlan, context: WriteContext): Statement[] {
  const { tables } = context;
  return [
    ...headStatements(plan.writes, context),
    ...versionStatements(plan.writes, context),
    ...deletedStatements(plan.writes, context),
    ...multiRow(
      `INSERT INTO ${tables.requests} (id, fingerprint, created_at, outcome) VALUES `,
      plan.remember.map(({ request, outcome }) => {
        const { id, fingerprint } = request;
        const created = integerLiteral(context.now);
        return `(${hexLiteral(id)},${hexLiteral(fingerprint)},${created},${textLiteral(JSON.stringify(outcome))})`;
      }),
    ),
    ...feedStatements(plan.writes, context),
  ];
}

/** Packets of statements that each stay below what the server takes. */
export function toPackets(statements: readonly Statement[], maxChars: number): Statement[][] {
  const packets: Statement[][] = [];
  let chars = Infinity;
  for (const statement of statements) {
    const length = typeof statement === "string" ? statement.length + 1 : Infinity;
    if (chars + length > maxChars) {
      packets.push([]);
      chars = 0;
    }
    packets.at(-1)?.push(statement);
    chars += length;
  }
  return packets;
}

function headStatements(writes: readonly Write[], context: WriteContext): Statement[] {
  const { tables, before, after } = context;
  const stamp = hexLiteral(context.stamp);
  const removed = new Set(context.placeholders);
  const rows: { readonly key: Key; readonly sql: string; readonly changed: boolean }[] = [];
  const keys = new Set(writes.map((write) => (write.kind === "put" ? write.put.key : write.key)));
  for (const key of keys) {
    const old = before.get(key);
    const head = after.get(key);
    const changed = old !== undefined && old.incarnation === head?.incarnation;
    if (old !== undefined && !changed) removed.add(key);
    if (head === undefined) continue;
    const numbers = [head.version, changed ? old.version : 0, head.firstVersion, head.createdAt];
    rows.push({
      key,
      changed,
      sql: `(${textLiteral(key)},${textLiteral(head.incarnation)},${numbers.map(integerLiteral).join(",")},${stamp})`,
    });
  }
  rows.sort((a, b) => compareKeys(a.key, b.key));
  const deletes =
    removed.size === 0
      ? []
      : [`DELETE FROM ${tables.heads} WHERE key_bytes IN (${keyList(removed)})`];
  const upserts = chunk(rows, ({ sql }) => sql.length).flatMap((group) => {
    const affected = group.reduce((sum, { changed }) => sum + (changed ? 2 : 1), 0);
    return [
      headUpsert(
        tables,
        group.map(({ sql }) => sql),
      ),
      checkAffected(affected),
    ];
  });
  return [...deletes, ...upserts];
}

/**
 * Moves heads on, and fails unless each is what the plan was made from: of that incarnation and
 * version, or absent where the previous version is 0.
 */
function headUpsert(tables: Tables, rows: readonly string[]): string {
  const isExpected = "incarnation = VALUES(incarnation) AND version = VALUES(previous_version)";
  return (
    `INSERT INTO ${tables.heads} ` +
    "(key_bytes, incarnation, version, previous_version, first_version, created_at, stamp) VALUES " +
    `${rows.join(",")} ON DUPLICATE KEY UPDATE ` +
    `previous_version = IF(${isExpected}, VALUES(previous_version), ${failure("VALUES(version)")}), ` +
    "version = VALUES(version), created_at = VALUES(created_at), stamp = VALUES(stamp)"
  );
}

/**
 * An upsert counts 1 for a row that it inserts and 2 for one that it changes; one row too many
 * inserted means that a key was deleted meanwhile.
 */
function checkAffected(affected: number): string {
  return `SET @checked = IF(ROW_COUNT() = ${integerLiteral(affected)}, 1, ${failure("ROW_COUNT()")})`;
}

/** Leaves out what the same batch deletes again: nobody could ever read it. */
function versionStatements(writes: readonly Write[], { tables, after }: WriteContext): Statement[] {
  const rows: string[] = [];
  const large: Statement[] = [];
  for (const write of writes) {
    if (write.kind !== "put") continue;
    const { put, entry } = write;
    if (after.get(put.key)?.incarnation !== entry.incarnation) continue;
    if (put.value.byteLength > TEXT_VALUE_BYTES_MAX) {
      large.push(largeVersion(tables, put.key, entry, put.value));
    } else {
      rows.push(versionRow(put.key, entry, put.value));
    }
  }
  return [
    ...multiRow(`INSERT INTO ${tables.versions} (${VERSION_COLUMNS}) VALUES `, rows),
    ...large,
  ];
}

function versionRow(key: Key, entry: EntryInfo, value: Uint8Array): string {
  const numbers = [entry.version, entry.createdAt, entry.size].map(integerLiteral).join(",");
  return (
    `(${textLiteral(key)},${textLiteral(entry.incarnation)},${numbers},${hexLiteral(entry.digest)},` +
    `${textLiteral(entry.contentType)},${textLiteral(entry.author)},${textLiteral(entry.message)},` +
    `${bytesLiteral(value)})`
  );
}

function largeVersion(tables: Tables, key: Key, entry: EntryInfo, value: Uint8Array): Statement {
  const text = (part: string | undefined): Value => (part === undefined ? null : Buffer.from(part));
  return {
    sql: `INSERT INTO ${tables.versions} (${VERSION_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)`,
    values: [
      Buffer.from(key),
      Buffer.from(entry.incarnation),
      entry.version,
      entry.createdAt,
      entry.size,
      Buffer.from(entry.digest, "hex"),
      text(entry.contentType),
      text(entry.author),
      text(entry.message),
      Buffer.from(value.buffer, value.byteOffset, value.byteLength),
    ],
  };
}

/** Deleting drops the head alone; what hung from it is cleared in small steps later. */
function deletedStatements(writes: readonly Write[], context: WriteContext): Statement[] {
  const rows = writes.flatMap((write) => {
    if (write.kind !== "delete") return [];
    const { key, head } = write;
    const old = context.before.get(key);
    // A life that began in this very batch has left nothing behind.
    if (old?.incarnation !== head.incarnation) return [];
    const bounds = [old.firstVersion, old.version].map(integerLiteral).join(",");
    return [`(${textLiteral(key)},${textLiteral(head.incarnation)},${bounds})`];
  });
  return multiRow(
    `INSERT INTO ${context.tables.deleted} (key_bytes, incarnation, next_version, last_version) VALUES `,
    rows,
  );
}

/**
 * One row for each partition that the batch touches. Its number is taken under the lock of the
 * partition's row, which is held to the commit, so numbers become visible in order and without a gap.
 */
function feedStatements(writes: readonly Write[], { tables, now }: WriteContext): Statement[] {
  const changes = new Map<number, StoredChange[]>();
  for (const write of writes) {
    const { key, change } = toChange(write);
    const partition = hashKey(key) % PARTITIONS;
    const list = changes.get(partition);
    if (list === undefined) changes.set(partition, [change]);
    else list.push(change);
  }
  if (changes.size === 0) return [];
  const ids = [...changes.keys()].toSorted((a, b) => a - b).join(",");
  const cases = [...changes].map(
    ([partition, list]) => `WHEN ${partition} THEN ${textLiteral(JSON.stringify(list))}`,
  );
  return [
    `UPDATE ${tables.partitions} SET seq = seq + 1 WHERE id IN (${ids})`,
    `INSERT INTO ${tables.feed} (partition_id, seq, at, changes) SELECT id, seq, ` +
      `${integerLiteral(now)}, CASE id ${cases.join(" ")} END FROM ${tables.partitions} ` +
      `WHERE id IN (${ids})`,
  ];
}

function toChange(write: Write): { readonly key: Key; readonly change: StoredChange } {
  if (write.kind === "put") {
    const { put, entry } = write;
    return {
      key: put.key,
      change: [put.key, entry.incarnation, entry.version, 0, entry.createdAt],
    };
  }
  const { key, head, at } = write;
  return { key, change: [key, head.incarnation, head.version, 1, at] };
}

/** Keys as literals, in key order, which is the order of all locks. */
export function keyLiterals(keys: Iterable<Key>): string[] {
  return [...keys].sort(compareKeys).map(textLiteral);
}

export function keyList(keys: Iterable<Key>): string {
  return keyLiterals(keys).join(",");
}

function multiRow(start: string, rows: readonly string[]): string[] {
  return chunk(rows, (row) => row.length).map((group) => start + group.join(","));
}

function chunk<T>(items: readonly T[], size: (item: T) => number): T[][] {
  const groups: T[][] = [];
  let total = Infinity;
  for (const item of items) {
    if (total + size(item) > STATEMENT_CHARS_TARGET) {
      groups.push([]);
      total = 0;
    }
    groups.at(-1)?.push(item);
    total += size(item);
  }
  return groups;
}
