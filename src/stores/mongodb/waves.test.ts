import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf, put, transaction } from "../../conformance/build.ts";
import { toWaves } from "./waves.ts";

/** Cuts transactions that each put the named keys, and shows the indexes in each wave. */
function cut(...batch: readonly string[]): readonly (readonly [number[], number[]])[] {
  const transactions = batch.map((names) =>
    transaction({
      puts: names.split(" ").flatMap((name) => (name ? [put(keyOf(name), "v")] : [])),
    }),
  );
  return toWaves(transactions).map(({ single, several }) => [
    single.map(({ index }) => index),
    several.map(({ index }) => index),
  ]);
}

test("transactions of one key each go together, also of the same key", () => {
  assert.deepEqual(cut("a", "b", "a"), [[[0, 1, 2], []]]);
});

test("transactions of several keys go together where they have no key in common", () => {
  assert.deepEqual(cut("a b", "c d", "e"), [[[2], [0, 1]]]);
  assert.deepEqual(cut("a b", "b c"), [
    [[], [0]],
    [[], [1]],
  ]);
});

test("transactions with a common key keep their order, whatever their size", () => {
  assert.deepEqual(cut("a", "a b", "b", "c"), [
    [[0], []],
    [[], [1]],
    [[2, 3], []],
  ]);
});

test("a wave holds a bounded number of transactions of several keys", () => {
  const waves = cut(...Array.from({ length: 20 }, (_, i) => `a${i} b${i}`));
  assert.deepEqual(
    waves.map(([, several]) => several.length),
    [8, 8, 4],
  );
});

test("a transaction that names no key is in no wave", () => {
  assert.deepEqual(cut("", "a"), [[[1], []]]);
});
