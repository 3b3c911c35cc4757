import assert from "node:assert/strict";
import { test } from "node:test";

import { open, StateError, VersionedState } from "../index.ts";
import { systemClock } from "../telemetry/clock.ts";
import { silentLog } from "../telemetry/log.ts";

/** An engine over the same store whose values are bounded lower, as after a new start. */
function bounded(state: VersionedState, maxValueBytes: number): VersionedState {
  return new VersionedState(state.store, {
    clock: systemClock,
    log: silentLog,
    timeoutMs: 5_000,
    maxValueBytes,
    feedRetentionMs: 60_000,
    retention: [],
  });
}

/** The keys `p/a` and `p/b`, the second of which can't be brought back to the moment answered. */
async function makePrefix(state: VersionedState): Promise<number> {
  await state.put("p/a", "a1");
  const { createdAt: at } = await state.put("p/b", "x".repeat(2_000));
  for (;;) {
    const { createdAt } = await state.put("clock", "tick");
    if (createdAt > at) break;
  }
  await state.put("p/a", "a2");
  await state.put("p/b", "b2");
  return at;
}

async function failureOf(restoring: Promise<unknown>): Promise<StateError> {
  const failure: unknown = await restoring.catch((error: unknown) => error);
  assert.ok(failure instanceof StateError, "it fails");
  return failure;
}

test("a page of which one key fails says what was brought back and where to go on", async () => {
  const wide = await open("memory:");
  const at = await makePrefix(wide);
  const state = bounded(wide, 1_000);
  const failure = await failureOf(state.restorePrefix({ prefix: "p/", at }));
  assert.deepEqual([failure.code, failure.applied], ["outcome_unknown", "unknown"]);
  assert.match(failure.message, /Brought back: 1\. Failed: 1, .*"p\/b" with value_too_large/);
  assert.deepEqual(failure.details, {
    restored: [{ key: "p/a", action: "put", from: 1, version: 3 }],
    unchanged: 0,
    conflicts: [],
    trimmed: [],
    next: undefined,
    failed: [{ key: "p/b", code: "value_too_large" }],
  });
  assert.equal((await state.head("p/a"))?.version, 3, "all writing had ended");
  const again = await failureOf(state.restorePrefix({ prefix: "p/", at }));
  assert.deepEqual([again.code, again.applied], ["value_too_large", "no"]);
  assert.equal(again.details["unchanged"], 1);
  const rest = await wide.restorePrefix({ prefix: "p/", at });
  assert.deepEqual(
    rest.restored.map(({ key }) => key),
    ["p/b"],
  );
  await wide.close();
});

test("a page of which no key was written fails with the error of its first key, and its cursor", async () => {
  const wide = await open("memory:");
  const at = await makePrefix(wide);
  const state = bounded(wide, 1);
  const failure = await failureOf(state.restorePrefix({ prefix: "p/", at, limit: 1 }));
  assert.deepEqual([failure.code, failure.applied], ["value_too_large", "no"]);
  assert.match(failure.message, /^Of the key "p\/a": .*Nothing was written/);
  const { next } = failure.details;
  assert.equal(typeof next, "string");
  const page = bounded(wide, 5_000).restorePrefix({ prefix: "p/", at, after: String(next) });
  assert.deepEqual(
    (await page).restored.map(({ key }) => key),
    ["p/b"],
  );
  await wide.close();
});

test("a restore that is repeated answers the first outcome once its source was trimmed", async () => {
  const state = await open("memory:");
  await state.put("k", "1");
  await state.put("k", "2");
  const options = { from: { version: 1 }, idempotencyKey: "id" };
  const first = await state.restore("k", options);
  const [info] = await state.store.keys({ from: "k", to: undefined, limit: 1 });
  assert.ok(info !== undefined);
  await state.store.trim(info.key, info.incarnation, 3, 10);
  assert.deepEqual(await state.restore("k", options), { ...first, replayed: true });
  const other = await failureOf(state.restore("k", { ...options, idempotencyKey: "other" }));
  assert.equal(other.code, "version_trimmed");
  assert.equal((await state.head("k"))?.version, 3);
  await state.close();
});
