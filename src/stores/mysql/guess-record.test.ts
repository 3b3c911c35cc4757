import assert from "node:assert/strict";
import { test } from "node:test";
import { GuessRecord } from "./guess-record.ts";

test("guesses are good until two in a row were wrong", () => {
  const guesses = new GuessRecord();
  assert.ok(guesses.areGood);
  guesses.learn(false);
  assert.ok(guesses.areGood);
  guesses.learn(false);
  assert.ok(!guesses.areGood);
});

test("guesses that were wrong for long are good again after a few right ones", () => {
  const guesses = new GuessRecord();
  for (let i = 0; i < 1_000; i += 1) guesses.learn(false);
  let count = 0;
  for (; !guesses.areGood; count += 1) guesses.learn(true);
  assert.ok(count >= 3 && count <= 6, `after ${count}`);
});

test("guesses of which every second one is right are not good", () => {
  const guesses = new GuessRecord();
  for (let i = 0; i < 100; i += 1) guesses.learn(i % 2 === 1);
  assert.ok(!guesses.areGood);
});
