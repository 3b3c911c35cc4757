import assert from "node:assert/strict";
import { test } from "node:test";

import { open } from "../index.ts";
import { newIncarnation } from "./input.ts";

test("an ETag that nobody was given matches nothing, however long it is", async () => {
  const state = await open("memory:");
  const { version } = await state.put("k", "x");
  const entries = [{ incarnation: "z".repeat(1000), version }];
  await assert.rejects(state.put("k", "y", { ifMatch: entries }), { code: "condition_failed" });
  assert.equal((await state.put("k", "y", { ifNoneMatch: entries })).version, 2);
  await state.close();
});

test("conditions on versions beyond any are unmet", async () => {
  const state = await open("memory:");
  const { incarnation } = await state.put("k", "x");
  const version = Number.MAX_SAFE_INTEGER;
  await assert.rejects(state.put("k", "y", { cas: version }), { code: "condition_failed" });
  const ifMatch = [{ incarnation, version }];
  await assert.rejects(state.put("k", "y", { ifMatch }), { code: "condition_failed" });
  await state.close();
});

test("incarnations never repeat, and fit an ETag", () => {
  const made = Array.from({ length: 2_000 }, newIncarnation);
  assert.equal(new Set(made).size, made.length);
  for (const each of made) assert.match(each, /^[\w-]{12}$/);
});
