import { StateError } from "../../errors.ts";
import { KEY_BYTES_MAX } from "../../limits.ts";
import { isMissingTable } from "./classify.ts";
import type { Session } from "./session.ts";
import { integerLiteral, type Tables, textLiteral } from "./sql.ts";

/** Raised whenever tables change; a process refuses a store whose number is higher than its own. */
const SCHEMA_VERSION = 1;

/**
 * In how many partitions the feed is written. Fixed when a store is set up, since a key's partition
 * follows from it. A commit holds the row of each partition that it touches until it is done.
 */
export const PARTITIONS = 16;

/** InnoDB alone has row locks and survives a crash; every column holds bytes or a number. */
const TABLE_OPTIONS = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4";

const KEY_COLUMN = `key_bytes VARBINARY(${KEY_BYTES_MAX}) NOT NULL`;
const INCARNATION_COLUMN = "incarnation VARBINARY(64) NOT NULL";

/**
 * Every table has its whole identity as the primary key, which InnoDB stores rows by: a key's history
 * is one range, and nothing is looked up twice. There is no auto-increment and no foreign key.
 */
function tableStatements(tables: Tables): readonly string[] {
  const create = (table: string, columns: readonly string[]): string =>
    `CREATE TABLE IF NOT EXISTS ${table} (${columns.join(", ")}) ${TABLE_OPTIONS}`;
  return [
    create(tables.settings, [
      "name VARBINARY(64) NOT NULL",
      "value VARBINARY(255) NOT NULL",
      "PRIMARY KEY (name)",
    ]),
    create(tables.heads, [
      KEY_COLUMN,
      INCARNATION_COLUMN,
      "version BIGINT UNSIGNED NOT NULL",
      // What the latest commit found: a commit's upsert compares it with `version`.
      "previous_version BIGINT UNSIGNED NOT NULL",
      "first_version BIGINT UNSIGNED NOT NULL",
      "created_at BIGINT NOT NULL",
      // Drawn anew by every commit: what was read of a head is outdated when its stamp is another.
      "stamp BINARY(8) NOT NULL",
      "PRIMARY KEY (key_bytes)",
    ]),
    create(tables.versions, [
      KEY_COLUMN,
      INCARNATION_COLUMN,
      "version BIGINT UNSIGNED NOT NULL",
      "created_at BIGINT NOT NULL",
      "size INT UNSIGNED NOT NULL",
      "digest BINARY(32) NOT NULL",
      "content_type VARBINARY(1024)",
      "author VARBINARY(1024)",
      "message VARBINARY(4096)",
      "value LONGBLOB NOT NULL",
      "PRIMARY KEY (key_bytes, incarnation, version)",
    ]),
    create(tables.deleted, [
      KEY_COLUMN,
      INCARNATION_COLUMN,
      "next_version BIGINT UNSIGNED NOT NULL",
      "last_version BIGINT UNSIGNED NOT NULL",
      "PRIMARY KEY (key_bytes, incarnation)",
    ]),
    create(tables.partitions, [
      "id SMALLINT UNSIGNED NOT NULL",
      "seq BIGINT UNSIGNED NOT NULL",
      "trimmed_to BIGINT UNSIGNED NOT NULL",
      "PRIMARY KEY (id)",
    ]),
    create(tables.feed, [
      "partition_id SMALLINT UNSIGNED NOT NULL",
      "seq BIGINT UNSIGNED NOT NULL",
      "at BIGINT NOT NULL",
      "changes MEDIUMBLOB NOT NULL",
      "PRIMARY KEY (partition_id, seq)",
    ]),
    create(tables.requests, [
      "id BINARY(16) NOT NULL",
      "fingerprint BINARY(16) NOT NULL",
      "created_at BIGINT NOT NULL",
      "outcome MEDIUMBLOB NOT NULL",
      "PRIMARY KEY (id)",
      "KEY by_age (created_at)",
    ]),
    create(tables.commits, [
      "id BINARY(16) NOT NULL",
      "attempt SMALLINT UNSIGNED NOT NULL",
      "PRIMARY KEY (id)",
    ]),
  ];
}

/**
 * Creates the tables where they are missing, and checks that they are of this version. Any number of
 * processes may do so at once: each statement changes nothing where another process was first, and
 * the schema's version, by which the tables are known to be complete, is written last.
 */
export async function prepareSchema(
  session: Session,
  tables: Tables,
  deadline: number,
): Promise<void> {
  if (await isPrepared(session, tables, deadline)) return;
  for (const statement of tableStatements(tables)) await session.run([statement], deadline);
  const rows = Array.from({ length: PARTITIONS }, (_, id) => `(${integerLiteral(id)},0,0)`);
  await session.run(
    [
      `INSERT IGNORE INTO ${tables.partitions} (id, seq, trimmed_to) VALUES ${rows.join(",")}`,
      `INSERT IGNORE INTO ${tables.settings} (name, value) VALUES ${setting("partitions", PARTITIONS)}`,
      `INSERT IGNORE INTO ${tables.settings} (name, value) VALUES ${setting("schema", SCHEMA_VERSION)}`,
    ],
    deadline,
  );
  await isPrepared(session, tables, deadline);
}

function setting(name: string, value: number): string {
  return `(${textLiteral(name)},${textLiteral(String(value))})`;
}

async function isPrepared(session: Session, tables: Tables, deadline: number): Promise<boolean> {
  const settings = await readSettings(session, tables, deadline);
  const schema = settings.get("schema");
  if (schema === undefined) return false;
  if (Number(schema) > SCHEMA_VERSION) {
    throw incompatible(
      `The store's tables have version ${schema}, and this program knows up to ${SCHEMA_VERSION}. ` +
        "Start a newer version of it.",
    );
  }
  const partitions = settings.get("partitions");
  if (Number(partitions) !== PARTITIONS) {
    throw incompatible(
      `The store was set up with ${partitions ?? "an unknown number of"} partitions, and this ` +
        `program uses ${PARTITIONS}.`,
    );
  }
  return true;
}

async function readSettings(
  session: Session,
  tables: Tables,
  deadline: number,
): Promise<ReadonlyMap<string, string>> {
  try {
    const [rows = []] = await session.run([`SELECT name, value FROM ${tables.settings}`], deadline);
    return new Map(rows.map(([name, value]) => [String(name), String(value)]));
  } catch (error) {
    if (isMissingTable(error)) return new Map();
    throw error;
  }
}

function incompatible(message: string): StateError {
  return new StateError("store_incompatible", message);
}
