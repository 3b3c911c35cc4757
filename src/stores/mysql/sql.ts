import { compareKeys, type Key } from "../../key.ts";

/**
 * How values get into SQL text: as whole numbers, as hexadecimal literals, and, where all of a value is
 * harmless ASCII, between quotes, which is half as long. No key or value can change a statement,
 * whatever `sql_mode` or character set the server is set to.
 */

/** Printable ASCII, tabs and line ends, but neither a quote nor a backslash. */
const HARMLESS = /^[\t\n\r\x20-\x26\x28-\x5b\x5d-\x7e]*$/;

/** Multi-row statements end at about this many characters. */
const STATEMENT_CHARS_TARGET = 512 * 1024;

/** A longer value is hardly ever all harmless, and not worth searching. */
const SEARCHED_BYTES_MAX = 4096;

/** Bytes as a literal. */
export function bytesLiteral(value: Uint8Array): string {
  const buffer = Buffer.isBuffer(value)
    ? value
    : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (buffer.length <= SEARCHED_BYTES_MAX) {
    const text = buffer.toString("latin1");
    if (HARMLESS.test(text)) return `'${text}'`;
  }
  return `x'${buffer.toString("hex")}'`;
}

/** Text as a literal of its UTF-8 bytes; `NULL` for none. */
export function textLiteral(value: string | undefined): string {
  if (value === undefined) return "NULL";
  return HARMLESS.test(value) ? `'${value}'` : `x'${Buffer.from(value).toString("hex")}'`;
}

/** Digits that already are hexadecimal, as a literal of their bytes. */
export function hexLiteral(digits: string): string {
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits))
    throw new TypeError("not hexadecimal digits");
  return `x'${digits}'`;
}

/** A whole number as a literal. */
export function integerLiteral(value: number): string {
  if (!Number.isSafeInteger(value)) throw new TypeError(`not a whole number: ${value}`);
  return String(value);
}

/** Keys as literals, in key order, which is the order of all locks. */
export function keyLiterals(keys: Iterable<Key>): string[] {
  return [...keys].sort(compareKeys).map(textLiteral);
}

/** {@link keyLiterals} in one string. */
export function keyList(keys: Iterable<Key>): string {
  return keyLiterals(keys).join(",");
}

/** As few statements as their length allows, each `start` with some of the rows. */
export function multiRow(start: string, rows: readonly string[]): string[] {
  return chunk(rows, (row) => row.length).map((group) => start + group.join(","));
}

/** Items in order, in groups that make statements of a bounded length. */
export function chunk<T>(items: readonly T[], chars: (item: T) => number): T[][] {
  const groups: T[][] = [];
  let total = Infinity;
  for (const item of items) {
    const size = chars(item);
    if (total + size > STATEMENT_CHARS_TARGET) {
      groups.push([]);
      total = 0;
    }
    groups.at(-1)?.push(item);
    total += size;
  }
  return groups;
}

/**
 * Fails the statement where it is evaluated, as no number is above the largest. It aborts the commit
 * from inside the database, so that no answer need be awaited between its statements. The operand, a
 * whole number, keeps the optimizer from evaluating it in advance.
 */
export function failure(operand: string): string {
  return `ABS(${operand}) + 1 + 18446744073709551615`;
}

/** An expression that is `value`, and fails unless the statement before affected so many rows. */
export function ifAffected(affected: number, value: number): string {
  const isExpected = `ROW_COUNT() = ${integerLiteral(affected)}`;
  return `IF(${isExpected}, ${integerLiteral(value)}, ${failure("ROW_COUNT()")})`;
}

/** Fails unless the statement before it affected so many rows. */
export function compareRowCount(affected: number): string {
  return `SET @checked = ${ifAffected(affected, 1)}`;
}

/** The tables of one store, each name quoted. */
export interface Tables {
  /** Name and value: the schema's version, how many partitions there are. */
  readonly settings: string;
  /** One row for each existing key. */
  readonly heads: string;
  /** Every version, also those that a delete has left for `maintain` to clear. */
  readonly versions: string;
  /** Incarnations whose versions are to be cleared. */
  readonly deleted: string;
  /** The number of the last batch of changes in each partition, and how far the feed is trimmed. */
  readonly partitions: string;
  /** Batches of changes. */
  readonly feed: string;
  /** Request ids that clients sent, with the outcome. */
  readonly requests: string;
  /** Ids of our own commits: what an unknown outcome is found out by. */
  readonly commits: string;
}

export const TABLE_NAMES: readonly (keyof Tables)[] = [
  "settings",
  "heads",
  "versions",
  "deleted",
  "partitions",
  "feed",
  "requests",
  "commits",
];

/** The tables of a prefix, which {@link parseMysqlUrl} has checked to hold no quote. */
export function tablesOf(prefix: string): Tables {
  const entries = TABLE_NAMES.map((name) => [name, `\`${prefix}_${name}\``] as const);
  return Object.fromEntries(entries) as unknown as Tables;
}
