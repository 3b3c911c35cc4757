import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { checkKey } from "./checker.ts";
import type { Call, Delivery, KeyRecord } from "./record.ts";

interface Step {
  readonly op: "put" | "get" | "delete";
  readonly before: number;
  readonly after: number;
  /** Moves the call's interval, so that it may no longer hold the instant of its effect. */
  readonly shift: number;
}

/** Runs steps one after another at whole instants, and records them as overlapping calls. */
function record(steps: readonly Step[]): KeyRecord {
  const calls: Call[] = [];
  const deliveries: Delivery[] = [];
  let life = 0;
  let version = 0;
  steps.forEach(({ op, before, after, shift }, index) => {
    const instant = index * 10;
    const start = instant - before + shift;
    const times = { client: `c${index}`, key: "k", start, end: instant + after + shift };
    const incarnation = `g${life}`;
    const id = `id-${life}-${version}`;
    if (op === "put") {
      version += 1;
      calls.push({
        ...times,
        op,
        id: `id-${life}-${version}`,
        cas: undefined,
        outcome: "ok",
        incarnation,
        version,
      });
      deliveries.push({ key: "k", incarnation, version, deleted: false, at: Infinity });
    } else if (op === "get") {
      const seen = version === 0 ? undefined : { incarnation, version, id };
      calls.push({ ...times, op, outcome: "ok", seen });
    } else {
      calls.push({ ...times, op, outcome: "ok", versions: version });
      if (version > 0)
        deliveries.push({ key: "k", incarnation, version, deleted: true, at: Infinity });
      life += version > 0 ? 1 : 0;
      version = 0;
    }
  });
  const final = Array.from({ length: version }, (_, index) => ({
    incarnation: `g${life}`,
    version: index + 1,
    id: `id-${life}-${index + 1}`,
    createdAt: index,
  }));
  return { key: "k", calls, deliveries, final };
}

/** Tries every order of the calls that real time allows: the definition, word by word. */
function isLinearizable(calls: readonly Call[]): boolean {
  const search = (left: readonly Call[], life: number, version: number): boolean => {
    if (left.length === 0) return true;
    const firstEnd = Math.min(...left.map(({ end }) => end));
    return left.some((call) => {
      if (call.start > firstEnd || call.outcome !== "ok") return false;
      const rest = left.filter((other) => other !== call);
      if (call.op === "put") {
        const isNext = call.incarnation === `g${life}` && call.version === version + 1;
        return isNext && search(rest, life, version + 1);
      }
      if (call.op === "delete") {
        return call.versions === version && search(rest, version > 0 ? life + 1 : life, 0);
      }
      if (call.op !== "get") return false;
      const isLatest =
        version === 0
          ? call.seen === undefined
          : call.seen?.incarnation === `g${life}` && call.seen.version === version;
      return isLatest && search(rest, life, version);
    });
  };
  return search(calls, 0, 0);
}

function stepsOf(ops: readonly Step["op"][]): fc.Arbitrary<readonly Step[]> {
  const step = fc.record({
    op: fc.constantFrom(...ops),
    before: fc.integer({ min: 0, max: 25 }),
    after: fc.integer({ min: 0, max: 25 }),
    shift: fc.oneof(fc.constant(0), fc.integer({ min: -60, max: 60 })),
  });
  return fc.array(step, { minLength: 1, maxLength: 7 });
}

test("without deletes the checker and an exhaustive search always agree", () => {
  let broken = 0;
  fc.assert(
    fc.property(stepsOf(["put", "get", "get"]), (steps) => {
      const history = record(steps);
      const expected = isLinearizable(history.calls);
      if (!expected) broken += 1;
      assert.equal(checkKey(history).length === 0, expected);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(broken > 300, `${broken} of the histories were broken`);
});

test("with deletes the checker never blames a history that an exhaustive search can explain", () => {
  let explained = 0;
  fc.assert(
    fc.property(stepsOf(["put", "put", "get", "delete"]), (steps) => {
      const history = record(steps);
      if (!isLinearizable(history.calls)) return;
      explained += 1;
      assert.deepEqual(checkKey(history), []);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(explained > 300, `${explained} of the histories could be explained`);
});

/** A put that was answered, at an instant. */
function put(version: number, start: number, end = start + 1, id = `id-${version}`): Call {
  const times = { client: "w", key: "k", start, end };
  return { ...times, op: "put", id, cas: undefined, outcome: "ok", incarnation: "g", version };
}

function get(version: number, start: number, end = start + 1): Call {
  const seen = version === 0 ? undefined : { incarnation: "g", version, id: `id-${version}` };
  return { client: "r", key: "k", start, end, op: "get", outcome: "ok", seen };
}

function finalOf(count: number): KeyRecord["final"] {
  return Array.from({ length: count }, (_, index) => ({
    incarnation: "g",
    version: index + 1,
    id: `id-${index + 1}`,
    createdAt: index,
  }));
}

function kindsOf(parts: Omit<KeyRecord, "key">): readonly string[] {
  return [...new Set(checkKey({ key: "k", ...parts }).map(({ kind }) => kind))];
}

test("each kind of damage has its name", () => {
  const deliveries = undefined;
  const calls = [put(1, 0), put(2, 10), get(2, 20)];
  assert.deepEqual(kindsOf({ calls, deliveries, final: finalOf(2) }), []);
  assert.deepEqual(kindsOf({ calls, deliveries, final: finalOf(1) }), ["lost", "vanished"]);
  assert.deepEqual(
    kindsOf({
      calls: [put(1, 0), put(3, 10)],
      deliveries,
      final: finalOf(3).filter(({ version }) => version !== 2),
    }),
    ["hole"],
  );
  assert.deepEqual(
    kindsOf({ calls: [put(1, 0), put(1, 10, 11, "other")], deliveries, final: finalOf(1) }),
    ["lost"],
  );
  const seen = { incarnation: "g", version: 1, id: "other" };
  const other: Call = { ...get(1, 10), op: "get", outcome: "ok", seen };
  assert.deepEqual(kindsOf({ calls: [put(1, 0), other], deliveries, final: finalOf(1) }), [
    "changed",
  ]);
  const twice = [...finalOf(1), { incarnation: "g", version: 2, id: "id-1", createdAt: 1 }];
  assert.deepEqual(kindsOf({ calls: [put(1, 0)], deliveries, final: twice }), ["doubled"]);
  const [first, second] = finalOf(2);
  assert.ok(first && second);
  const older = [first, { ...second, createdAt: first.createdAt - 1 }];
  assert.deepEqual(kindsOf({ calls: [put(1, 0)], deliveries, final: older }), ["time"]);
  assert.deepEqual(
    kindsOf({ calls: [put(1, 0), put(2, 10), get(1, 20)], deliveries, final: finalOf(2) }),
    ["order"],
  );
  assert.deepEqual(kindsOf({ calls: [put(1, 0), get(0, 5)], deliveries, final: finalOf(1) }), [
    "order",
  ]);
  const refused: Call = {
    client: "w",
    key: "k",
    start: 5,
    end: 6,
    op: "put",
    id: "id-1",
    cas: 7,
    outcome: "no",
  };
  assert.deepEqual(kindsOf({ calls: [refused], deliveries, final: finalOf(1) }), ["phantom"]);
  const wrongCas: Call = { ...put(2, 10), cas: 0 } as Call;
  assert.deepEqual(kindsOf({ calls: [put(1, 0), wrongCas], deliveries, final: finalOf(2) }), [
    "condition",
  ]);
});

test("a write with an unknown outcome may appear once or not at all", () => {
  const unknown: Call = {
    client: "w",
    key: "k",
    start: 5,
    end: 6,
    op: "put",
    id: "id-2",
    cas: undefined,
    outcome: "unknown",
  };
  const calls = [put(1, 0), unknown, get(1, 20)];
  assert.deepEqual(kindsOf({ calls, deliveries: undefined, final: finalOf(1) }), []);
  assert.deepEqual(kindsOf({ calls, deliveries: undefined, final: finalOf(2) }), []);
  const twice = [...finalOf(2), { incarnation: "g", version: 3, id: "id-2", createdAt: 2 }];
  assert.deepEqual(kindsOf({ calls, deliveries: undefined, final: twice }), ["doubled"]);
});

test("the witness of a stale read names the two calls that contradict each other", () => {
  const stale = get(1, 20);
  const calls = [put(1, 0), put(2, 10), stale];
  const [violation] = checkKey({ key: "k", calls, deliveries: undefined, final: finalOf(2) });
  assert.deepEqual(violation?.witness, [stale, calls[1]]);
});
