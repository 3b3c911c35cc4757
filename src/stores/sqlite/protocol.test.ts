import assert from "node:assert/strict";
import { test } from "node:test";
import { abandon, beginCommit, isAbandoned, newTurn, pause } from "./protocol.ts";

test("a call that was abandoned cannot be committed", () => {
  const turn = newTurn();
  assert.equal(isAbandoned(turn), false);
  assert.equal(abandon(turn), true);
  assert.equal(isAbandoned(turn), true);
  assert.equal(beginCommit(turn), false);
});

test("a call that is being committed cannot be abandoned", () => {
  const turn = newTurn();
  assert.equal(beginCommit(turn), true);
  assert.equal(abandon(turn), false);
  assert.equal(isAbandoned(turn), false);
});

test("a pause ends at once where the call was abandoned", () => {
  const turn = newTurn();
  abandon(turn);
  const started = performance.now();
  pause(turn, 60_000);
  assert.ok(performance.now() - started < 30_000);
});
