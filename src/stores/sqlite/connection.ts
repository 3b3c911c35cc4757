import { DatabaseSync } from "node:sqlite";

/**
 * Kilobytes of pages that each connection may hold in memory. Four times as much made neither reads
 * nor writes faster: a reader's pages are dropped with every commit of another connection, and the
 * operating system has them all. Mapping the file into memory halved the reads between commits.
 */
const CACHE_KIB = 4_096;

/** Pages of the write-ahead log after which a commit moves them into the file: 16 MiB. */
const CHECKPOINT_PAGES = 4_000;

/**
 * A connection that gives up at once where the file is locked: SQLite's own way of waiting sleeps for
 * up to 100 ms at a time, and let one of three writers wait 2.3 s.
 */
const COMMON = { timeout: 0, returnArrays: true, enableForeignKeyConstraints: false } as const;

/** For reads. It never waits for a writer: the write-ahead log shows it the last commit. */
export function openReader(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { ...COMMON, readOnly: true });
  db.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
  return db;
}

export function openWriter(file: string): DatabaseSync {
  return new DatabaseSync(file, COMMON);
}

/** Sets what holds for a connection alone; none of it changes the file. */
export function configureWriter(db: DatabaseSync): void {
  db.exec("PRAGMA synchronous = FULL");
  // macOS' plain fsync leaves data in the drive's cache; elsewhere these change nothing.
  db.exec("PRAGMA fullfsync = ON");
  db.exec("PRAGMA checkpoint_fullfsync = ON");
  db.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
  db.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  db.exec(`PRAGMA journal_size_limit = ${4 * CHECKPOINT_PAGES * 4096}`);
}
