import type { Key } from "../../key.ts";
import type { StoredEntry } from "../../store.ts";
import type { Head } from "../shared/plan.ts";
import { INFO_COLUMNS, toEntry, toNumber, toStamp, toText } from "./rows.ts";
import type { Rows } from "./session.ts";
import { integerLiteral, textLiteral, type Tables } from "./sql.ts";

/** Heads first, and each table by its key, whatever the optimizer makes of tables that are still small. */
const SELECT = "SELECT STRAIGHT_JOIN";
export const BY_KEY = "FORCE INDEX (PRIMARY)";

/** The latest entries of many keys: a row each for those that exist. */
export function latestStatement(tables: Tables, keys: readonly Key[], value: boolean): string {
  return (
    `${SELECT} h.key_bytes, h.first_version, h.stamp, ${columns(value)} FROM ${tables.heads} h ` +
    `${BY_KEY} JOIN ${tables.versions} v ${BY_KEY} ON v.key_bytes = h.key_bytes AND v.incarnation = h.incarnation ` +
    `AND v.version = h.version WHERE h.key_bytes IN (${keys.map(textLiteral).join(",")})`
  );
}

/** What a row of {@link latestStatement} says. */
export function toLatestRow(
  row: Rows[number],
  value: boolean,
): {
  readonly key: Key;
  readonly stamp: string;
  readonly head: Head;
  readonly entry: StoredEntry;
} {
  const entry = toEntry(row, 3, value);
  const { incarnation, version, createdAt } = entry;
  return {
    key: toText(row[0]) as Key,
    stamp: toStamp(row[2]),
    head: { incarnation, version, createdAt, firstVersion: toNumber(row[1]) },
    entry,
  };
}

/** Which entries are the latest of keys: key, incarnation, version and stamp of those that exist. */
export function stampsStatement(tables: Tables, keys: readonly Key[]): string {
  return (
    `SELECT key_bytes, incarnation, version, stamp FROM ${tables.heads} ${BY_KEY} ` +
    `WHERE key_bytes IN (${keys.map(textLiteral).join(",")})`
  );
}

/** Names one version in a query, and its place among the queries. */
export interface VersionQuery {
  readonly place: number;
  readonly key: Key;
  readonly version: number;
}

/**
 * Entries by number: a row for each query whose key exists, which holds the query's place, the key's
 * first kept version, and nulls where there is no such version.
 */
export function versionsStatement(
  tables: Tables,
  queries: readonly VersionQuery[],
  value: boolean,
): string {
  const wanted = queries.map(
    ({ place, key, version }, index) =>
      `SELECT ${integerLiteral(place)}${index === 0 ? " AS place" : ""},` +
      `${textLiteral(key)}${index === 0 ? " AS k" : ""},` +
      `${integerLiteral(version)}${index === 0 ? " AS n" : ""}`,
  );
  return (
    `${SELECT} q.place, h.first_version, ${columns(value)} FROM (${wanted.join(" UNION ALL ")}) q ` +
    `JOIN ${tables.heads} h ${BY_KEY} ON h.key_bytes = q.k ` +
    `LEFT JOIN ${tables.versions} v ${BY_KEY} ON v.key_bytes = q.k AND v.incarnation = h.incarnation ` +
    "AND v.version = q.n AND v.version >= h.first_version"
  );
}

export function columns(value: boolean): string {
  return value ? `${INFO_COLUMNS}, v.value` : INFO_COLUMNS;
}
