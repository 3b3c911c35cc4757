import { hashKey, type Key } from "../../key.ts";
import type { EntryInfo } from "../../store.ts";
import type { Write } from "../shared/plan.ts";
import type { BatchPlan } from "./batch.ts";
import { headStatements, type HeadContext } from "./head-statements.ts";
import { PARTITIONS } from "./schema.ts";
import {
  bytesLiteral,
  hexLiteral,
  integerLiteral,
  multiRow,
  textLiteral,
  type Tables,
} from "./sql.ts";

/** A statement as text, or, for one large value, with its values apart. */
export type Statement = string | { readonly sql: string; readonly values: readonly Value[] };
type Value = Buffer | number | null;

/** A change as the feed stores it: key, incarnation, version, whether it is a delete, when. */
export type StoredChange = readonly [string, string, number, 0 | 1, number];

/** A value above this is sent as bytes: its hexadecimal text would be twice as long. */
const TEXT_VALUE_BYTES_MAX = 128 * 1024;

const VERSION_COLUMNS =
  "key_bytes, incarnation, version, created_at, size, digest, content_type, author, message, value";

/**
 * The statements that carry out a plan, in the order of their locks: heads by key, then what belongs
 * to this commit alone, and last the partitions, which every commit contends for.
 */
export function writeStatements(plan: BatchPlan, context: HeadContext): Statement[] {
  const { tables } = context;
  return [
    ...headStatements(writtenKeys(plan.writes), context),
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

function writtenKeys(writes: readonly Write[]): Iterable<Key> {
  const keys = new Set<Key>();
  for (const write of writes) keys.add(keyOfWrite(write));
  return keys;
}

/** The key that a write changes. */
export function keyOfWrite(write: Write): Key {
  return write.kind === "put" ? write.put.key : write.key;
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

/** Leaves out what the same batch deletes again: nobody could ever read it. */
function versionStatements(writes: readonly Write[], { tables, after }: HeadContext): Statement[] {
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
  return (
    `(${textLiteral(key)},${textLiteral(entry.incarnation)},${integerLiteral(entry.version)},` +
    `${integerLiteral(entry.createdAt)},${integerLiteral(entry.size)},${hexLiteral(entry.digest)},` +
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
function deletedStatements(writes: readonly Write[], context: HeadContext): Statement[] {
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
function feedStatements(writes: readonly Write[], { tables, now }: HeadContext): Statement[] {
  const changes = new Map<number, StoredChange[]>();
  for (const write of writes) {
    const partition = hashKey(keyOfWrite(write)) % PARTITIONS;
    const list = changes.get(partition);
    if (list === undefined) changes.set(partition, [toChange(write)]);
    else list.push(toChange(write));
  }
  const { partitions, feed } = tables;
  const start = `INSERT INTO ${feed} (partition_id, seq, at, changes)`;
  const texts = [...changes].map(([id, list]) => ({ id, text: textLiteral(JSON.stringify(list)) }));
  const [first] = texts;
  if (first === undefined) return [];
  if (texts.length === 1) {
    const { id, text } = first;
    return [
      `UPDATE ${partitions} SET seq = LAST_INSERT_ID(seq + 1) WHERE id = ${id}`,
      `${start} VALUES (${id},LAST_INSERT_ID(),${integerLiteral(now)},${text})`,
    ];
  }
  const ids = [...changes.keys()].toSorted((a, b) => a - b).join(",");
  const cases = texts.map(({ id, text }) => `WHEN ${id} THEN ${text}`);
  return [
    `UPDATE ${partitions} SET seq = seq + 1 WHERE id IN (${ids})`,
    `${start} SELECT id, seq, ${integerLiteral(now)}, CASE id ${cases.join(" ")} END ` +
      `FROM ${partitions} WHERE id IN (${ids})`,
  ];
}

function toChange(write: Write): StoredChange {
  if (write.kind === "put") {
    const { put, entry } = write;
    return [put.key, entry.incarnation, entry.version, 0, entry.createdAt];
  }
  const { key, head, at } = write;
  return [key, head.incarnation, head.version, 1, at];
}
