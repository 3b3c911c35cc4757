import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";

import { checkSchema, migrate } from "./schema.ts";

test("a file that another process sets up meanwhile is not taken for another program's", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "vss-test-schema-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "state.db");
  using other = new DatabaseSync(file);
  other.exec("PRAGMA journal_mode = WAL");

  /** Lets the other process do all of it after the first statement. */
  class Interrupted extends DatabaseSync {
    statements = 0;
    override prepare(sql: string) {
      this.statements += 1;
      if (this.statements === 2) {
        other.exec("BEGIN IMMEDIATE");
        migrate(other);
        other.exec("COMMIT");
      }
      return super.prepare(sql);
    }
  }
  using db = new Interrupted(file);
  assert.deepEqual(checkSchema(db), { isCurrent: false }, "all of it as before");
  assert.deepEqual(checkSchema(db), { isCurrent: true }, "all of it as after");
});
