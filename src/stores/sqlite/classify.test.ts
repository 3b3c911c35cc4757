import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { removeFolder, temporaryFolder } from "../../../test/servers/process.ts";
import { StateError } from "../../errors.ts";
import { appliedByFailedCommit, classify, describeCause, isBusy } from "./classify.ts";

const folder = await temporaryFolder("sqlite-classify");
after(() => removeFolder(folder));

/** What SQLite itself throws. */
function errorOf(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return assert.fail("SQLite threw nothing");
}

function newTable(name: string): DatabaseSync {
  const db = new DatabaseSync(join(folder, name));
  db.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (value BLOB)");
  return db;
}

test("a database that may grow no more is full", () => {
  using db = newTable("full.db");
  db.exec("PRAGMA max_page_count = 3");
  const error = errorOf(() => db.exec("INSERT INTO t VALUES (zeroblob(100000))"));
  assert.equal(classify(error).code, "store_full");
  assert.equal(classify(error).applied, "no");
  assert.equal(classify(error).cause, error);
  assert.equal(appliedByFailedCommit(error), "no");
  assert.match(describeCause(error) ?? "", /^SQLite 13: /);
});

test("a connection that may not write is read-only", () => {
  newTable("read-only.db").close();
  using db = new DatabaseSync(join(folder, "read-only.db"), { readOnly: true });
  const error = errorOf(() => db.exec("INSERT INTO t VALUES (1)"));
  assert.equal(classify(error).code, "store_read_only");
});

test("a lock that another connection holds is worth another try", () => {
  using db = newTable("busy.db");
  using other = new DatabaseSync(join(folder, "busy.db"), { timeout: 0 });
  db.exec("BEGIN IMMEDIATE");
  const error = errorOf(() => other.exec("BEGIN IMMEDIATE"));
  assert.ok(isBusy(error));
  assert.equal(classify(error).code, "store_unavailable");
});

test("a file that is no database is incompatible, and one that is not there unavailable", async () => {
  const file = join(folder, "text.db");
  await writeFile(file, "This is a text of some length, and not a database. ".repeat(20));
  using db = new DatabaseSync(file);
  assert.equal(
    classify(errorOf(() => db.exec("SELECT * FROM sqlite_schema"))).code,
    "store_incompatible",
  );
  const missing = errorOf(() => new DatabaseSync(join(folder, "none", "x.db")));
  assert.equal(classify(missing).code, "store_unavailable");
});

test("a commit that the disk failed may have happened, and one that was refused has not", () => {
  const failed = (errcode: number): Error =>
    Object.assign(new Error("disk I/O error"), { errcode });
  const fsyncFailed = failed(1034);
  assert.equal(appliedByFailedCommit(fsyncFailed), "unknown");
  const unknown = classify(fsyncFailed, "unknown");
  assert.equal(unknown.code, "outcome_unknown");
  assert.equal(unknown.applied, "unknown");
  const writeRefused = failed(778);
  assert.equal(appliedByFailedCommit(writeRefused), "no");
  assert.equal(classify(writeRefused).code, "store_full");
  assert.equal(classify(failed(266)).code, "store_unavailable");
});

test("what is not SQLite's stays unknown, with its cause", () => {
  const cause = new TypeError("a mistake in the code");
  assert.equal(classify(cause).code, "internal");
  assert.equal(classify(cause).cause, cause);
  const known = new StateError("store_full", "The disk is full.");
  assert.equal(classify(known), known);
});
