import { randomInt } from "node:crypto";
import { statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";

import { StateError } from "../../errors.ts";
import { systemClock } from "../../telemetry/clock.ts";
import { isBusy } from "./classify.ts";
import { configureWriter, openWriter } from "./connection.ts";
import { newTurn, pause, type Facts, type WriterData } from "./protocol.ts";
import { checkSchema, migrate, readNumber } from "./schema.ts";

/** Between two tries while other processes set up the same file, in milliseconds. */
const RETRY_MS_MIN = 1;
const RETRY_MS_MAX = 10;

/** Opens the file for writing, and sets it up where it is new. Blocks; for the writer's thread. */
export function setUp(data: WriterData): { db: DatabaseSync; facts: Facts } {
  const { file, connectTimeoutMs, identity } = data;
  if (identity !== undefined) assertInPlace(file, identity);
  const deadline = systemClock.monotonic() + connectTimeoutMs;
  const db = openWriter(file);
  try {
    const { isCurrent } = retryWhileBusy(deadline, () => checkSchema(db));
    retryWhileBusy(deadline, () => useWriteAheadLog(db));
    configureWriter(db);
    if (!isCurrent) retryWhileBusy(deadline, () => migrateAlone(db));
    return { db, facts: readFacts(db, file) };
  } catch (error) {
    db.close();
    throw error;
  }
}

function useWriteAheadLog(db: DatabaseSync): void {
  db.exec("PRAGMA journal_mode = WAL");
  if (readText(db, "PRAGMA journal_mode") === "wal") return;
  throw new StateError(
    "store_incompatible",
    "SQLite cannot keep a write-ahead log here. Put the file on a local disk.",
  );
}

/** Other processes may be at it too: the first one does it, and the others find it done. */
function migrateAlone(db: DatabaseSync): void {
  db.exec("BEGIN IMMEDIATE");
  try {
    migrate(db);
    db.exec("COMMIT");
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}

/**
 * Refuses to go on where the file has been removed or replaced. SQLite would write on to a file that
 * has no name any more, and lose all of it at the end of the process.
 */
export function assertInPlace(file: string, identity: string): void {
  if (identify(file) === identity) return;
  throw new StateError(
    "store_unavailable",
    "The database file was removed or replaced while it was in use. Nothing was written. Stop " +
      "every process that uses it, put the right file in place, and start again.",
  );
}

function identify(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? "none" : `${found.dev} ${found.ino}`;
}

function readFacts(db: DatabaseSync, file: string): Facts {
  return {
    identity: identify(file),
    sqliteVersion: readText(db, "SELECT sqlite_version()"),
    journalMode: readText(db, "PRAGMA journal_mode"),
    synchronous: readNumber(db, "PRAGMA synchronous"),
  };
}

function readText(db: DatabaseSync, sql: string): string {
  return String(Object.values(db.prepare(sql).get() ?? {})[0]);
}

function retryWhileBusy<Result>(deadline: number, work: () => Result): Result {
  const turn = newTurn();
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!isBusy(error) || systemClock.monotonic() > deadline) throw error;
      pause(turn, randomInt(RETRY_MS_MIN, RETRY_MS_MAX));
    }
  }
}
