import assert from "node:assert/strict";
import { test } from "node:test";

import type { Key } from "../key.ts";
import { openStore } from "../stores/index.ts";
import { silentLog } from "../telemetry/log.ts";
import { Retention, type RetentionRule } from "./retention.ts";
import { VersionedState } from "./versioned-state.ts";

const DAY_MS = 86_400_000;

async function setUp(rules: readonly RetentionRule[]) {
  let now = 1_000 * DAY_MS;
  const clock = { now: () => now, monotonic: () => performance.now() };
  const options = { clock, log: silentLog, timeoutMs: 60_000, connectTimeoutMs: 60_000 };
  const store = await openStore("memory:", options);
  const state = new VersionedState(store, {
    ...options,
    maxValueBytes: 100,
    feedRetentionMs: DAY_MS,
    retention: [],
  });
  const retention = new Retention(store, rules, clock);
  const put = async (key: string): Promise<void> => {
    const { version } = await state.put(key, "value");
    retention.noteVersion(key as Key, version);
  };
  const versions = async (key: string): Promise<readonly number[] | undefined> =>
    (await state.history(key, { limit: 1000 }))?.versions.map(({ version }) => version);
  const pass = (days: number): void => void (now += days * DAY_MS);
  return { state, retention, put, versions, pass };
}

function rule(prefix: string, keepVersions?: number, keepAgeDays?: number): RetentionRule {
  const keepAgeMs = keepAgeDays === undefined ? undefined : keepAgeDays * DAY_MS;
  return { prefix, keepVersions, keepAgeMs };
}

test("a limit by count holds soon after the put, and the latest number goes on", async () => {
  const { state, retention, put, versions } = await setUp([rule("", 2)]);
  for (let i = 0; i < 5; i += 1) await put("k");
  assert.deepEqual(await versions("k"), [5, 4, 3, 2, 1]);
  while (await retention.stepWritten());
  assert.deepEqual(await versions("k"), [5, 4]);
  assert.equal(retention.removed, 3);
  await assert.rejects(state.getVersion("k", 3), { code: "version_trimmed" });
  await put("k");
  assert.equal((await state.get("k"))?.version, 6);
  await state.close();
});

test("a limit by age keeps what as-of reads within it need, and the latest however old", async () => {
  const { state, retention, put, versions, pass } = await setUp([rule("", undefined, 10)]);
  await put("k");
  await put("old");
  pass(5);
  await put("k");
  pass(8);
  await put("k");
  while (await retention.stepSweep());
  // Ten days ago is day 3, when version 1 was the latest.
  assert.deepEqual(await versions("k"), [3, 2, 1]);
  pass(4);
  while (await retention.stepSweep());
  assert.deepEqual(await versions("k"), [3, 2]);
  pass(100);
  while (await retention.stepSweep());
  assert.deepEqual(await versions("k"), [3]);
  assert.deepEqual(await versions("old"), [1]);
  await state.close();
});

test("the longest matching prefix is the rule of a key, and without a rule all stays", async () => {
  const { state, retention, put, versions } = await setUp([rule("a", 3), rule("ab", 1)]);
  for (const key of ["abc", "axy", "b"]) for (let i = 0; i < 5; i += 1) await put(key);
  while (await retention.stepWritten());
  assert.deepEqual(await versions("abc"), [5]);
  assert.deepEqual(await versions("axy"), [5, 4, 3]);
  assert.deepEqual(await versions("b"), [5, 4, 3, 2, 1]);
  await state.close();
});

test("a long history is trimmed in bounded steps that together reach the limit", async () => {
  const { state, retention, put, versions } = await setUp([rule("", 1)]);
  for (let i = 0; i < 1_300; i += 1) await put("k");
  assert.equal(await retention.stepWritten(), true);
  assert.equal(retention.removed, 500);
  while (await retention.stepWritten());
  assert.deepEqual(await versions("k"), [1_300]);
  await state.close();
});
