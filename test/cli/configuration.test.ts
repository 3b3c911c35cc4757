import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { PAGE, withTables } from "../../scripts/configuration-table.ts";

test("docs/configuration.md has every command with its settings, as they are", async () => {
  const page = await readFile(PAGE, "utf8");
  assert.equal(withTables(page), page, "run: node scripts/configuration-table.ts");
});
