import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf } from "../../conformance/build.ts";
import type { Place } from "./places.ts";
import { SegmentMap, STRETCH, stretchOf } from "./segment-map.ts";

const key = keyOf("key");

function place(position: number, incarnation = "one"): Place {
  return { key, incarnation, position };
}

test("a place is in the segment with the greatest known start that is not above it", () => {
  const map = new SegmentMap();
  assert.equal(map.knows(place(20)), false);
  map.note(place(20), [30, 10]);
  map.note(place(21), [20, 30]);
  assert.equal(map.startOf(place(9)), undefined);
  assert.deepEqual(
    [10, 19, 20, 29, 30, 900].map((position) => map.startOf(place(position))),
    [10, 10, 20, 20, 30, 30],
  );
});

test("what is known of one stretch or life says nothing of another", () => {
  const map = new SegmentMap();
  map.note(place(20), [10]);
  for (const other of [place(STRETCH), place(20, "two"), { ...place(20), key: keyOf("other") }]) {
    assert.equal(map.knows(other), false);
    assert.equal(map.startOf(other), undefined);
  }
  assert.equal(stretchOf(place(STRETCH + 5)), STRETCH);
});

test("a stretch where nothing starts is known, and a start below it reaches into it", () => {
  const map = new SegmentMap();
  map.note(place(STRETCH + 5), []);
  assert.equal(map.knows(place(STRETCH + 6)), true);
  assert.equal(map.startOf(place(STRETCH + 6)), undefined);
  map.note(place(STRETCH + 5), [STRETCH - 7]);
  assert.equal(map.startOf(place(STRETCH)), STRETCH - 7);
});

test("what was learned first is forgotten first, and only past the bound", () => {
  const map = new SegmentMap();
  const starts = Array.from({ length: STRETCH }, (_, i) => i);
  const stretch = (index: number): Place => place(index * STRETCH);
  const last = 2000;
  for (let index = 0; index <= last; index += 1) {
    map.note(
      stretch(index),
      starts.map((start) => index * STRETCH + start),
    );
    assert.ok(map.knows(stretch(Math.max(0, index - 400))), `${index}`);
  }
  assert.equal(map.knows(stretch(0)), false);
  assert.equal(map.startOf(place(last * STRETCH + 7)), last * STRETCH + 7);
});
