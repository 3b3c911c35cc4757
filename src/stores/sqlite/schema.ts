import type { DatabaseSync } from "node:sqlite";

import { StateError } from "../../errors.ts";

/** "VSSS" in ASCII: tells our files from other SQLite databases. */
export const APPLICATION_ID = 0x56535353;

/**
 * What brings a file from schema version n to n + 1, at index n. A released step never changes: a new
 * one is appended.
 *
 * Keys are TEXT under SQLite's default collation, which compares their UTF-8 bytes.
 *
 * `heads` has a row per existing key; it points at the latest version's row, so that the most frequent
 * read is two look-ups. `versions` is an ordinary table in the order of its puts: a batch then fills
 * pages at the end, whatever keys it holds, and large values share no page with small ones. Both ids
 * are the feed's sequence number of the put that made the row, so they are never used again: what a
 * deleted key left behind is out of reach at once, and waits in `deleted` to be cleared.
 *
 * `feed` is dense. Its last row always stays, since it carries the last sequence number given;
 * `feed_start` says up to where it has been trimmed. `committed_at` is null where it equals `at`.
 */
const STEPS: readonly string[] = [
  `CREATE TABLE heads (
    key TEXT PRIMARY KEY NOT NULL,
    id INTEGER NOT NULL,
    incarnation TEXT NOT NULL,
    first_version INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    latest INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE versions (
    id INTEGER PRIMARY KEY,
    head_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    digest TEXT NOT NULL,
    content_type TEXT,
    author TEXT,
    message TEXT,
    value BLOB NOT NULL
  );
  CREATE UNIQUE INDEX versions_by_head ON versions (head_id, version);
  CREATE TABLE deleted (head_id INTEGER PRIMARY KEY);
  CREATE TABLE feed (
    seq INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    version INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    at INTEGER NOT NULL,
    committed_at INTEGER
  );
  CREATE TABLE feed_start (trimmed INTEGER NOT NULL);
  INSERT INTO feed_start VALUES (0);
  CREATE TABLE requests (
    id TEXT PRIMARY KEY NOT NULL,
    fingerprint TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    outcome TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX requests_by_expiry ON requests (expires_at);`,
];

/** The schema version that this code writes and reads. */
export const SCHEMA_VERSION = STEPS.length;

/**
 * Refuses a file that is another program's, or that a newer release has set up. Changes nothing, so
 * it comes before anything that does.
 */
export function checkSchema(db: DatabaseSync): { readonly isCurrent: boolean } {
  const { applicationId, version, objects } = readMarks(db);
  const isNew = applicationId === 0 && version === 0 && objects === 0;
  if (applicationId !== APPLICATION_ID && !isNew) {
    throw new StateError(
      "store_incompatible",
      "The file is the SQLite database of another program. Choose another file.",
    );
  }
  if (version > SCHEMA_VERSION) {
    throw new StateError(
      "store_incompatible",
      `The file has schema version ${version}, and this release knows ${SCHEMA_VERSION} at most. ` +
        "Start the release that set it up, or a newer one.",
    );
  }
  return { isCurrent: version === SCHEMA_VERSION };
}

/** What tells whose file it is. Read at one moment: another process may be setting the file up. */
function readMarks(db: DatabaseSync): Record<"applicationId" | "version" | "objects", number> {
  const isAlone = !db.isTransaction;
  if (isAlone) db.exec("BEGIN");
  try {
    return {
      applicationId: readNumber(db, "PRAGMA application_id"),
      version: readNumber(db, "PRAGMA user_version"),
      objects: readNumber(db, "SELECT count(*) FROM sqlite_schema"),
    };
  } finally {
    if (isAlone && db.isTransaction) db.exec("ROLLBACK");
  }
}

/**
 * Brings the schema up to date. Runs inside the caller's write transaction, where no other process
 * can be at it, and so looks again at what there is.
 */
export function migrate(db: DatabaseSync): void {
  checkSchema(db);
  const version = readNumber(db, "PRAGMA user_version");
  for (const step of STEPS.slice(version)) db.exec(step);
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
}

/** The first column of a statement's only row. */
export function readNumber(db: DatabaseSync, sql: string): number {
  return Number(Object.values(db.prepare(sql).get() ?? {})[0]);
}
