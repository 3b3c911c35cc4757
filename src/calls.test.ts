import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";

import { Calls } from "./calls.ts";

test("idle waits for every call under way, one that fails as well", async () => {
  const calls = new Calls();
  await calls.idle();
  const first = Promise.withResolvers<string>();
  const second = Promise.withResolvers<string>();
  const answers = Promise.allSettled([
    calls.run(() => first.promise),
    calls.run(() => second.promise),
  ]);
  let isIdle = false;
  const idle = calls.idle().then(() => (isIdle = true));

  first.resolve("answered");
  await nextTurn();
  assert.equal(isIdle, false);
  second.reject(new Error("it failed"));
  await idle;
  const [one, other] = await answers;
  assert.deepEqual(one, { status: "fulfilled", value: "answered" });
  assert.equal(other.status, "rejected");
  await calls.idle();
});
