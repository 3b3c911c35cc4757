import { DatabaseSync } from "node:sqlite";
import { naiveArguments, serveNaive, type NaiveEntry } from "./http.ts";

/** One statement per request, each its own transaction, on the main thread; the same durability. */
const { port, url } = naiveArguments();
const database = new DatabaseSync(url);
database.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS versions (
    key TEXT, version INTEGER, value TEXT, PRIMARY KEY (key, version)
  ) WITHOUT ROWID;
`);
const insert = database.prepare(`
  INSERT INTO versions (key, version, value)
  VALUES (?1, (SELECT coalesce(max(version), 0) + 1 FROM versions WHERE key = ?1), ?2)
  RETURNING version
`);
const latest = database.prepare(
  "SELECT value, version FROM versions WHERE key = ? ORDER BY version DESC LIMIT 1",
);
const one = database.prepare("SELECT value, version FROM versions WHERE key = ? AND version = ?");

await serveNaive(
  {
    put: async (key, value) => (insert.get(key, value) as { version: number }).version,
    get: async (key) => latest.get(key) as NaiveEntry | undefined,
    getVersion: async (key, version) => one.get(key, version) as NaiveEntry | undefined,
  },
  port,
);
