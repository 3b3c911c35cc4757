import assert from "node:assert/strict";
import { test } from "node:test";
import { Timestamp } from "mongodb";
import { keyOf } from "../../conformance/build.ts";
import { ChangeCounter, fromPosition, secondsOf, timeOfToken, toTime } from "./feed-events.ts";

function insert(t: number, i: number, key: string, versions: number) {
  const times = Array.from({ length: versions }, (_, n) => 1000 + n);
  const clusterTime = new Timestamp({ t, i });
  return { clusterTime, k: keyOf(key), g: "life", v: 1, c: versions, a: times };
}

test("positions compare as strings in the order of the changes", () => {
  const counter = new ChangeCounter("");
  const positions = [
    insert(9, 1, "a", 300),
    insert(9, 1, "b", 2),
    insert(9, 2, "c", 1),
    insert(16, 1, "d", 1),
    insert(2 ** 32 - 1, 2 ** 32 - 1, "e", 1),
  ].flatMap((event) => counter.toChanges(event).map(({ position }) => position));
  assert.equal(positions.length, 305);
  assert.deepEqual(positions.toSorted(), positions);
  assert.equal(new Set(positions).size, 305);
});

test("who comes back from any position gets exactly the rest", () => {
  const events = [insert(5, 1, "a", 3), insert(5, 1, "b", 2), insert(6, 1, "c", 1)];
  const all = new ChangeCounter("");
  const changes = events.flatMap((event) => all.toChanges(event));
  for (const [index, change] of changes.entries()) {
    const counter = new ChangeCounter(change.position);
    // MongoDB starts at the time of the position, with the first change of that time.
    const again = events.filter(
      (event) => toTime(event.clusterTime) >= change.position.slice(0, 16),
    );
    const rest = again.flatMap((event) => counter.toChanges(event));
    assert.deepEqual(rest, changes.slice(index + 1));
  }
});

test("a tombstone is one change, with the last version there was", () => {
  const event = { ...insert(5, 1, "a", 0), v: 9, x: 4711 };
  const [change, ...more] = new ChangeCounter("").toChanges(event);
  assert.deepEqual([change?.deleted, change?.version, change?.at, more.length], [true, 9, 4711, 0]);
});

test("a time comes back from its position, and nothing else is taken for one", () => {
  const time = new Timestamp({ t: 1_700_000_000, i: 42 });
  for (const position of [toTime(time), `${toTime(time)}.00001f`]) {
    assert.ok(fromPosition(position)?.equals(time));
    assert.equal(secondsOf(position), 1_700_000_000);
  }
  for (const text of ["", "zz", toTime(time).slice(1), `${toTime(time)}.`, `x${toTime(time)}`]) {
    assert.equal(fromPosition(text), undefined, text);
  }
});

test("a token tells its time, and an unknown form of token tells none", () => {
  assert.equal(timeOfToken({ _data: "826B0240720000000F2B0229296E04" }), "6b0240720000000f");
  assert.equal(timeOfToken({ _data: "916B0240720000000F" }), undefined);
  assert.equal(timeOfToken(null), undefined);
});
