import type { Key } from "../../key.ts";
import type { EntryInfo, HistoryPage, KeyInfo, KeysPage } from "../../store.ts";
import type { Database } from "./database.ts";
import { INFO_COLUMNS, toInfo, toNumber, toText } from "./rows.ts";
import { integerLiteral, textLiteral } from "./sql.ts";

/** A page of a key's kept versions: one range of the primary key, read from its end that is asked for. */
export function readHistory(
  database: Database,
  key: Key,
  page: HistoryPage,
): Promise<readonly EntryInfo[]> {
  if (page.limit <= 0) return Promise.resolve([]);
  const { heads, versions } = database.tables;
  const bound =
    page.order === "oldest-first"
      ? `AND v.version > ${integerLiteral(page.after)}`
      : page.before === undefined
        ? ""
        : `AND v.version < ${integerLiteral(page.before)}`;
  const statement =
    `SELECT STRAIGHT_JOIN ${INFO_COLUMNS} FROM ${heads} h JOIN ${versions} v ` +
    "ON v.key_bytes = h.key_bytes AND v.incarnation = h.incarnation " +
    `AND v.version >= h.first_version ${bound} WHERE h.key_bytes = ${textLiteral(key)} ` +
    `ORDER BY v.version ${page.order === "oldest-first" ? "ASC" : "DESC"} ` +
    `LIMIT ${integerLiteral(page.limit)}`;
  return database.read(async (session, deadline) => {
    const [rows = []] = await session.run([statement], deadline);
    return rows.map((row) => toInfo(row));
  });
}

/** A page of keys: a range of the heads' primary key, which is in the order of the keys' bytes. */
export function readKeys(database: Database, page: KeysPage): Promise<readonly KeyInfo[]> {
  if (page.limit <= 0) return Promise.resolve([]);
  const { heads, versions } = database.tables;
  const to = page.to === undefined ? "" : `AND h.key_bytes < ${textLiteral(page.to)}`;
  const statement =
    `SELECT STRAIGHT_JOIN h.key_bytes, ${INFO_COLUMNS} FROM ${heads} h FORCE INDEX (PRIMARY) ` +
    `JOIN ${versions} v ON v.key_bytes = h.key_bytes AND v.incarnation = h.incarnation ` +
    `AND v.version = h.version WHERE h.key_bytes >= ${textLiteral(page.from)} ${to} ` +
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
