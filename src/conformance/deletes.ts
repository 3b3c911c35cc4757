import assert from "node:assert/strict";
import { at, commit, committed, deleteOne, keyOf, put, putMany, putOne } from "./build.ts";
import { readEntry, readOne, textOf, transaction } from "./build.ts";
import type { StoreCase } from "./context.ts";
import type { Key } from "../key.ts";
import type { Store } from "../store.ts";

/** Asserts that no way of reading shows a trace of a key. */
export async function assertGone(store: Store, key: Key, versions: number): Promise<void> {
  const queries = [
    { key, select: "latest", value: true } as const,
    { key, select: { asOf: Number.MAX_SAFE_INTEGER }, value: true } as const,
    ...[1, 2, Math.ceil(versions / 2), versions].map(
      (version) => ({ key, select: { version }, value: true }) as const,
    ),
  ];
  assert.deepEqual(
    await store.read(queries),
    queries.map(() => undefined),
  );
  const newest = await store.history(key, { order: "newest-first", before: undefined, limit: 10 });
  const oldest = await store.history(key, { order: "oldest-first", after: 0, limit: 10 });
  assert.deepEqual([newest, oldest], [[], []]);
  const listed = await store.keys({ from: key, to: `${key}\0`, limit: 10 });
  assert.deepEqual(listed, [], "the key is in no list");
}

/** A delete removes a key with its whole history, at once and for ever. */
export const deleteCases: readonly StoreCase[] = [
  {
    name: "leaves nothing of a deleted key and counts what it removed",
    async run(context) {
      const { store } = context;
      const [key, neighbour] = [context.key(), context.key()];
      await putMany(store, key, 7);
      await putMany(store, neighbour, 2);
      assert.equal(textOf(await readOne(store, key, { version: 4 })), "value-4");
      assert.equal(await deleteOne(store, key), 7);
      await assertGone(store, key, 7);
      assert.equal(textOf(await readOne(store, neighbour)), "value-2");
    },
  },
  {
    name: "starts a deleted key over at version 1 of a new incarnation",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const incarnations = new Set<string>();
      for (let life = 1; life <= 4; life += 1) {
        const first = await putOne(store, key, `life ${life}, first`);
        assert.equal(first.version, 1);
        incarnations.add(first.incarnation);
        const second = await putOne(store, key, `life ${life}, second`);
        assert.deepEqual([second.version, second.incarnation], [2, first.incarnation]);
        const { version, incarnation } = await readEntry(store, key);
        assert.deepEqual([version, incarnation], [2, first.incarnation]);
        assert.equal(textOf(await readOne(store, key, { version: 1 })), `life ${life}, first`);
        if (life < 4) assert.equal(await deleteOne(store, key), 2);
      }
      assert.equal(incarnations.size, 4, "four lives, four incarnations");
    },
  },
  {
    name: "shows nothing of a longer earlier life in a shorter later one",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putMany(store, key, 40, "old");
      await deleteOne(store, key);
      await putMany(store, key, 3, "new");
      assert.equal(await readOne(store, key, { version: 4 }), undefined);
      assert.equal(await readOne(store, key, { version: 40 }), undefined);
      assert.equal(textOf(await readOne(store, key, { version: 2 })), "new-2");
      const kept = await store.history(key, {
        order: "newest-first",
        before: undefined,
        limit: 50,
      });
      assert.deepEqual(
        kept.map(({ version }) => version),
        [3, 2, 1],
      );
      assert.equal(await deleteOne(store, key), 3);
      await assertGone(store, key, 40);
    },
  },
  {
    name: "deletes a key that never was, and deletes twice, with a count of 0",
    async run(context) {
      const { store } = context;
      const key = context.key();
      assert.equal(await deleteOne(store, key), 0);
      await putOne(store, key, "x");
      assert.equal(await deleteOne(store, key), 1);
      assert.equal(await deleteOne(store, key), 0);
      await assertGone(store, key, 1);
    },
  },
  {
    name: "takes puts and deletes of one key in one batch in their order",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const outcomes = (
        await store.commit([
          transaction({ puts: [put(key, "a1")] }),
          transaction({ puts: [put(key, "a2")] }),
          transaction({ deletes: [key] }),
          transaction({ deletes: [key] }),
          transaction({ puts: [put(key, "b1")] }),
          transaction({ deletes: [key] }),
          transaction({ puts: [put(key, "c1")] }),
          transaction({ puts: [put(key, "c2")] }),
        ])
      ).map(committed);
      const seen = outcomes.map(
        ({ puts, deletes }) => puts[0]?.version ?? `-${deletes[0]?.versions}`,
      );
      assert.deepEqual(seen, [1, 2, "-2", "-0", 1, "-1", 1, 2]);
      const lives = new Set(outcomes.flatMap(({ puts }) => puts.map((one) => one.incarnation)));
      assert.equal(lives.size, 3, "three lives, three incarnations");
      assert.equal(textOf(await readOne(store, key, { version: 1 })), "c1");
      assert.equal(textOf(await readOne(store, key)), "c2");
      assert.equal(await readOne(store, key, { version: 3 }), undefined);
    },
  },
  {
    name: "deletes many keys in one batch and in one transaction, and no others",
    async run(context) {
      const { store, facts } = context;
      const keys = context.taggedKeys(60);
      for (const key of keys) await putMany(store, key, 2);
      const apart = keys.slice(0, 20);
      const together = facts.transactions === "one-key" ? [] : keys.slice(20, 40);
      const outcomes = await store.commit([
        ...apart.map((key) => transaction({ deletes: [key] })),
        transaction({ deletes: together }),
      ]);
      for (const outcome of outcomes) {
        for (const { versions } of committed(outcome).deletes) assert.equal(versions, 2);
      }
      for (const key of [...apart, ...together]) await assertGone(store, key, 2);
      for (const key of keys.slice(40)) assert.equal((await readEntry(store, key)).version, 2);
    },
  },
  {
    name: "deletes only the key that is meant among keys that look alike",
    async run(context) {
      const { store } = context;
      const base = context.key();
      const alike = ["", "x", " ", "%", "_", "*", ".", "\\", "/a", ":1", "é"].map((end) =>
        keyOf(`${base}${end}`),
      );
      for (const key of alike) await putMany(store, key, 2);
      for (const key of alike.filter((_, i) => i % 2 === 0)) {
        assert.equal(await deleteOne(store, key), 2);
      }
      for (const [i, key] of alike.entries()) {
        if (i % 2 === 0) await assertGone(store, key, 2);
        else assert.equal((await readEntry(store, key)).version, 2, JSON.stringify(key));
      }
    },
  },
  {
    name: "clears a long history with housekeeping, and nothing of it comes back",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putMany(store, key, 20_000);
      assert.equal(textOf(await readOne(store, key, { version: 12_345 })), "value-12345");
      assert.equal(await deleteOne(store, key), 20_000);
      await assertGone(store, key, 20_000);
      assert.equal((await putOne(store, key, "reborn")).version, 1);
      await maintainAll(store);
      assert.equal(textOf(await readOne(store, key)), "reborn");
      assert.equal(await readOne(store, key, { version: 2 }), undefined);
      assert.equal(await readOne(store, key, { version: 12_345 }), undefined);
      assert.equal(at(committed(await commit(store, { deletes: [key] })).deletes, 0).versions, 1);
    },
  },
];

/** Runs housekeeping until there is nothing more to do now. */
export async function maintainAll(store: Store, feedRetentionMs = 86_400_000): Promise<void> {
  const stepsMax = 100_000;
  for (let step = 0; step < stepsMax; step += 1) {
    if (!(await store.maintain({ feedRetentionMs }))) return;
  }
  assert.fail(`housekeeping did not come to an end in ${stepsMax} steps`);
}
