import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { ERRORS } from "../../src/errors.ts";

test("docs/errors.md explains every code with its status, and no other", async () => {
  const page = await readFile(new URL("../../docs/errors.md", import.meta.url), "utf8");
  const explained = [...page.matchAll(/^### `(\w+)`\n\n\*\*(\d{3})\*\* \S/gm)];
  const statuses: Record<string, number> = Object.fromEntries(
    explained.map(([, code, status]) => [code ?? "", Number(status)]),
  );
  const wanted = Object.fromEntries(
    Object.entries(ERRORS).map(([code, { status }]) => [code, status]),
  );
  assert.deepEqual(statuses, wanted);
  assert.equal(explained.length, Object.keys(ERRORS).length, "each once");
  assert.equal([...page.matchAll(/^### /gm)].length, explained.length, "each in the same form");
});
