import type { Key } from "../../key.ts";
import type { EntryInfo, HistoryPage, KeyInfo, KeysPage } from "../../store.ts";
import type { Database } from "./database.ts";
import { BY_KEY } from "./read-statements.ts";
import { INFO_COLUMNS, toInfo, toNumber, toText } from "./rows.ts";
import { integerLiteral, textLiteral } from "./sql.ts";

/**
 * A page of a key's kept versions. They have no gaps, so the page is a range of the primary key that
 * both ends of are known: given an order and a limit instead, MariaDB reads and sorts the whole history.
 * Asked to sort the few rows of the range, it sets up a sort that takes two fifths of the statement.
 */
export function readHistory(
  database: Database,
  key: Key,
  page: HistoryPage,
): Promise<readonly EntryInfo[]> {
  if (page.limit <= 0) return Promise.resolve([]);
  const { heads, versions } = database.tables;
  const statement =
    `SELECT STRAIGHT_JOIN ${INFO_COLUMNS} FROM ${heads} h JOIN ${versions} v ${BY_KEY} ` +
    `ON v.key_bytes = h.key_bytes AND v.incarnation = h.incarnation AND ${pageRange(page)} ` +
    `WHERE h.key_bytes = ${textLiteral(key)}`;
  const sign = page.order === "oldest-first" ? 1 : -1;
  return database.read(async (session, deadline) => {
    const [rows = []] = await session.run([statement], deadline);
    const entries = rows.map((row) => toInfo(row));
    return entries.sort((a, b) => sign * (a.version - b.version));
  });
}

function pageRange(page: HistoryPage): string {
  const limit = integerLiteral(page.limit);
  if (page.order === "oldest-first") {
    const before = `GREATEST(h.first_version - 1, ${integerLiteral(Math.max(0, page.after))})`;
    return `v.version > ${before} AND v.version <= ${before} + ${limit}`;
  }
  const last =
    page.before === undefined
      ? "h.version"
      : `LEAST(h.version, ${integerLiteral(Math.max(1, page.before) - 1)})`;
  // Signed, as there is no unsigned number below zero.
  return (
    `v.version >= h.first_version AND v.version <= ${last} ` +
    `AND v.version > CAST(${last} AS SIGNED) - ${limit}`
  );
}

/** A page of keys: a range of the heads' primary key, which is in the order of the keys' bytes. */
export function readKeys(database: Database, page: KeysPage): Promise<readonly KeyInfo[]> {
  if (page.limit <= 0) return Promise.resolve([]);
  const { heads, versions } = database.tables;
  const to = page.to === undefined ? "" : `AND h.key_bytes < ${textLiteral(page.to)}`;
  const statement =
    `SELECT STRAIGHT_JOIN h.key_bytes, ${INFO_COLUMNS} FROM ${heads} h ${BY_KEY} ` +
    `JOIN ${versions} v ${BY_KEY} ON v.key_bytes = h.key_bytes ` +
    "AND v.incarnation = h.incarnation AND v.version = h.version " +
    `WHERE h.key_bytes >= ${textLiteral(page.from)} ${to} ` +
    `ORDER BY h.key_bytes LIMIT ${integerLiteral(page.limit)}`;
  return database.read(async (session, deadline) => {
    const [rows = []] = await session.run([statement], deadline);
    return rows.map((row) => ({ key: toText(row[0]) as Key, ...toInfo(row, 1) }));
  });
}

/** Removes a key's oldest versions, and moves its first version on in the same step. */
export function trimHistory(
  database: Database,
  key: Key,
  trim: { readonly incarnation: string; readonly keepFrom: number; readonly limit: number },
): Promise<number> {
  const { heads, versions } = database.tables;
  const isKey = `key_bytes = ${textLiteral(key)}`;
  return database.write(async (session, deadline) => {
    const [, rows = []] = await session.run(
      [
        "START TRANSACTION",
        `SELECT incarnation, first_version, version FROM ${heads} WHERE ${isKey} FOR UPDATE`,
      ],
      deadline,
    );
    const [incarnation, first, latest] = rows[0] ?? [];
    const from = toNumber(first);
    const count = Math.min(trim.limit, Math.min(trim.keepFrom, toNumber(latest)) - from);
    if (toText(incarnation) !== trim.incarnation || !(count > 0)) {
      await session.run(["ROLLBACK"], deadline);
      return 0;
    }
    const to = integerLiteral(from + count);
    await session.run(
      [
        `UPDATE ${heads} SET first_version = ${to} WHERE ${isKey}`,
        `DELETE FROM ${versions} WHERE ${isKey} AND incarnation = ${textLiteral(trim.incarnation)} ` +
          `AND version >= ${integerLiteral(from)} AND version < ${to}`,
        "COMMIT",
      ],
      deadline,
    );
    return count;
  });
}
