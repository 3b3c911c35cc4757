import assert from "node:assert/strict";
import { test } from "node:test";
import { lastIdOf, SegmentIds, writerOf } from "./segment-ids.ts";

test("ids of one writer rise, and lie below the last that it can give", () => {
  const ids = new SegmentIds();
  const given = Array.from({ length: 1000 }, () => ids.next().toHexString());
  assert.deepEqual(given, given.toSorted());
  assert.equal(new Set(given).size, given.length);
  const last = ids.next();
  assert.ok(lastIdOf(writerOf(last)).toHexString() > last.toHexString());
});

test("a writer knows its own ids, and no other's", () => {
  const [one, other] = [new SegmentIds(), new SegmentIds()];
  const [first, second] = [one.next(), one.next()];
  assert.equal(writerOf(first), writerOf(second));
  assert.ok(one.isOwn(first) && one.isOwn(second));
  assert.ok(!other.isOwn(first));
});
