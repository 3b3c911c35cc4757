import assert from "node:assert/strict";
import { at, commit, committed, deleteOne, put, putIf, putMany, putOne } from "./build.ts";
import { readOne, textOf, transaction, unique } from "./build.ts";
import type { StoreCase, StoreContext } from "./context.ts";
import type { Key } from "../key.ts";
import type { Condition, EntryRef } from "../store.ts";

/** A condition, and whether it holds for a key whose latest is version 2 of `ref.incarnation`. */
function conditionsOn(key: Key, ref: EntryRef): readonly [Condition, boolean][] {
  const { incarnation } = ref;
  const same = { incarnation, version: 2 };
  const older = { incarnation, version: 1 };
  const foreign = { incarnation: unique(), version: 2 };
  return [
    [{ kind: "absent", key }, false],
    [{ kind: "present", key }, true],
    [{ kind: "version", key, version: 2 }, true],
    [{ kind: "version", key, version: 1 }, false],
    [{ kind: "version", key, version: 3 }, false],
    [{ kind: "version", key, version: 2 ** 40 }, false],
    [{ kind: "entry", key, entries: [same] }, true],
    [{ kind: "entry", key, entries: [older] }, false],
    [{ kind: "entry", key, entries: [foreign] }, false],
    [{ kind: "entry", key, entries: [older, foreign, same] }, true],
    [{ kind: "entry", key, entries: [older, foreign] }, false],
    [{ kind: "entry", key, entries: [] }, false],
    [{ kind: "not-entry", key, entries: [same] }, false],
    [{ kind: "not-entry", key, entries: [older] }, true],
    [{ kind: "not-entry", key, entries: [foreign] }, true],
    [{ kind: "not-entry", key, entries: [older, foreign, same] }, false],
    [{ kind: "not-entry", key, entries: [older, foreign] }, true],
    [{ kind: "not-entry", key, entries: [] }, true],
  ];
}

/** The same for a key that does not exist. */
function conditionsOnNone(key: Key): readonly [Condition, boolean][] {
  const entry = { incarnation: unique(), version: 1 };
  return [
    [{ kind: "absent", key }, true],
    [{ kind: "present", key }, false],
    [{ kind: "version", key, version: 1 }, false],
    [{ kind: "entry", key, entries: [entry] }, false],
    [{ kind: "entry", key, entries: [] }, false],
    [{ kind: "not-entry", key, entries: [entry] }, true],
    [{ kind: "not-entry", key, entries: [] }, true],
  ];
}

/** Conditions decide before anything is written. */
export const conditionCases: readonly StoreCase[] = [
  {
    name: "weighs every kind of condition on a key that exists",
    async run(context) {
      for (let i = 0; i < 18; i += 1) {
        const key = context.key();
        await putMany(context.store, key, 1);
        const ref = await putOne(context.store, key, "two");
        const [condition, holds] = at(conditionsOn(key, ref), i);
        await expectCondition(context, condition, holds, ref);
        assert.equal(textOf(await readOne(context.store, key)), holds ? "put" : "two");
      }
    },
  },
  {
    name: "weighs every kind of condition on a key that does not exist",
    async run(context) {
      for (let i = 0; i < 7; i += 1) {
        const key = context.key();
        const [condition, holds] = at(conditionsOnNone(key), i);
        await expectCondition(context, condition, holds, undefined);
        assert.equal(textOf(await readOne(context.store, key)), holds ? "put" : undefined);
      }
    },
  },
  {
    name: "puts a condition on a delete, which then removes all or nothing",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const first = await putOne(store, key, "one");
      await putOne(store, key, "two");
      const stale = { kind: "entry", key, entries: [first] } as const;
      const refused = await commit(store, { conditions: [stale], deletes: [key] });
      assert.equal(refused.outcome, "conflict");
      assert.equal(textOf(await readOne(store, key, { version: 1 })), "one");
      const current = { kind: "version", key, version: 2 } as const;
      const done = committed(await commit(store, { conditions: [current], deletes: [key] }));
      assert.deepEqual(done.deletes, [{ versions: 2 }]);
      assert.equal(await readOne(store, key, { version: 1 }), undefined);
    },
  },
  {
    name: "does not take an entry of an earlier life for the one of now",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const before = await putOne(store, key, "first life");
      await deleteOne(store, key);
      const now = await putOne(store, key, "second life");
      assert.equal(now.version, before.version);
      const refused = await putIf(store, { kind: "entry", key, entries: [before] }, "lost update");
      assert.equal(refused.outcome, "conflict");
      const changed = await putIf(store, { kind: "not-entry", key, entries: [before] }, "fine");
      assert.equal(changed.outcome, "committed");
      assert.equal(textOf(await readOne(store, key, { version: 2 })), "fine");
    },
  },
  {
    name: "names every unmet condition with what the key's latest was instead",
    async run(context) {
      const { store } = context;
      const [a, b, none] = context.taggedKeys(3);
      assert.ok(a !== undefined && b !== undefined && none !== undefined);
      const refA = await putOne(store, a, "a");
      const refB = await putOne(store, b, "b");
      if (context.facts.transactions === "one-key") return;
      const outcome = await commit(store, {
        conditions: [
          { kind: "absent", key: a },
          { kind: "present", key: b },
          { kind: "present", key: none },
          { kind: "version", key: b, version: 9 },
          { kind: "entry", key: a, entries: [refA] },
        ],
        puts: [put(a, "never")],
      });
      assert.ok(outcome.outcome === "conflict");
      assert.deepEqual(outcome.unmet, [
        { condition: 0, key: a, current: refOf(refA) },
        { condition: 2, key: none, current: undefined },
        { condition: 3, key: b, current: refOf(refB) },
      ]);
      assert.equal(
        (await store.history(a, { order: "newest-first", before: undefined, limit: 9 })).length,
        1,
      );
    },
  },
  {
    name: "weighs several conditions on one key together",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const first = await putOne(store, key, "one");
      const present = { kind: "present", key } as const;
      const met = [present, present, { kind: "entry", key, entries: [first] } as const];
      const done = committed(await commit(store, { conditions: met, puts: [put(key, "two")] }));
      assert.equal(at(done.puts, 0).version, 2);
      const outcome = await commit(store, { conditions: met, puts: [put(key, "three")] });
      assert.ok(outcome.outcome === "conflict");
      assert.deepEqual(
        outcome.unmet.map(({ condition }) => condition),
        [2],
      );
    },
  },
  {
    name: "writes nothing for a transaction of conditions alone, and says whether they hold",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putOne(store, key, "one");
      const holds = committed(await commit(store, { conditions: [{ kind: "present", key }] }));
      assert.deepEqual([holds.puts, holds.deletes, holds.reads], [[], [], []]);
      const not = await commit(store, { conditions: [{ kind: "absent", key }] });
      assert.equal(not.outcome, "conflict");
      assert.deepEqual(committed(await commit(store, {})).puts, []);
    },
  },
  {
    name: "lets one of fifty conditional writers of a batch win",
    async run(context) {
      const { store } = context;
      const key = context.key();
      for (let round = 0; round < 3; round += 1) {
        const condition: Condition =
          round === 0 ? { kind: "absent", key } : { kind: "version", key, version: round };
        const outcomes = await store.commit(
          Array.from({ length: 50 }, (_, i) =>
            transaction({ conditions: [condition], puts: [put(key, `${round}/${i}`)] }),
          ),
        );
        const winners = outcomes.flatMap(({ outcome }, i) => (outcome === "committed" ? [i] : []));
        assert.deepEqual(winners, [0], "in a batch the order given decides");
        assert.equal(textOf(await readOne(store, key)), `${round}/0`);
      }
    },
  },
  {
    name: "lets one of fifty conditional writers win when each calls on its own",
    async run(context) {
      const { store } = context;
      const key = context.key();
      for (let round = 0; round < 3; round += 1) {
        const condition: Condition =
          round === 0 ? { kind: "absent", key } : { kind: "version", key, version: round };
        const outcomes = await Promise.all(
          Array.from({ length: 50 }, (_, i) => putIf(store, condition, `${round}/${i}`)),
        );
        const winners = outcomes.flatMap(({ outcome }, i) => (outcome === "committed" ? [i] : []));
        assert.equal(winners.length, 1, `winners of round ${round}: ${winners.join(" ")}`);
        assert.equal(textOf(await readOne(store, key)), `${round}/${winners[0]}`);
        assert.ok(
          outcomes.every(({ outcome }) => outcome === "committed" || outcome === "conflict"),
        );
      }
    },
  },
];

async function expectCondition(
  context: StoreContext,
  condition: Condition,
  holds: boolean,
  current: EntryRef | undefined,
): Promise<void> {
  const outcome = await putIf(context.store, condition, "put");
  const what = JSON.stringify({ condition, current });
  if (holds) {
    assert.equal(outcome.outcome, "committed", what);
    return;
  }
  assert.ok(outcome.outcome === "conflict", what);
  const expected = { condition: 0, key: condition.key, current: current && refOf(current) };
  assert.deepEqual(outcome.unmet, [expected], what);
}

function refOf({ incarnation, version }: EntryRef): EntryRef {
  return { incarnation, version };
}
