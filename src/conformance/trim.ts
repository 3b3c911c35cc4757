import assert from "node:assert/strict";
import { commit, deleteOne, put, putMany, putOne, readEntry, readOne, textOf } from "./build.ts";
import { unique } from "./build.ts";
import type { StoreCase } from "./context.ts";
import type { Key } from "../key.ts";
import type { Store } from "../store.ts";

async function listVersions(store: Store, key: Key): Promise<readonly number[]> {
  const page = { order: "oldest-first", after: 0, limit: 5000 } as const;
  return (await store.history(key, page)).map(({ version }) => version);
}

async function incarnationOf(store: Store, key: Key): Promise<string> {
  return (await readEntry(store, key)).incarnation;
}

/** Retention removes old versions and leaves everything else as it was. */
export const trimCases: readonly StoreCase[] = [
  {
    name: "trims the oldest versions in steps of the limit, up to the one to keep",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putMany(store, key, 10);
      const incarnation = await incarnationOf(store, key);
      assert.equal(await store.trim(key, incarnation, 6, 3), 3);
      assert.deepEqual(await listVersions(store, key), [4, 5, 6, 7, 8, 9, 10]);
      assert.equal(await store.trim(key, incarnation, 6, 3), 2);
      assert.equal(await store.trim(key, incarnation, 6, 3), 0);
      assert.equal(await store.trim(key, incarnation, 1, 3), 0);
      assert.deepEqual(await listVersions(store, key), [6, 7, 8, 9, 10]);
      for (let version = 1; version <= 5; version += 1) {
        assert.equal(await readOne(store, key, { version }), "trimmed", `version ${version}`);
      }
      for (let version = 6; version <= 10; version += 1) {
        assert.equal(textOf(await readOne(store, key, { version })), `value-${version}`);
      }
      assert.equal(await readOne(store, key, { version: 11 }), undefined);
    },
  },
  {
    name: "never trims the latest version, and never gives a number twice",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putMany(store, key, 5);
      const incarnation = await incarnationOf(store, key);
      assert.equal(await store.trim(key, incarnation, 1000, 1000), 4);
      assert.equal(await store.trim(key, incarnation, 1000, 1000), 0);
      assert.equal(textOf(await readOne(store, key)), "value-5");
      assert.deepEqual(await listVersions(store, key), [5]);
      assert.equal((await putOne(store, key, "next")).version, 6);
      assert.equal(await store.trim(key, incarnation, 6, 1000), 1);
      assert.deepEqual(await listVersions(store, key), [6]);
      const expected = { kind: "version", key, version: 6 } as const;
      const outcome = await commit(store, { conditions: [expected], puts: [put(key, "more")] });
      assert.equal(outcome.outcome, "committed");
    },
  },
  {
    name: "does not trim another incarnation, nor a key that does not exist",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putMany(store, key, 4);
      const before = await incarnationOf(store, key);
      assert.equal(await store.trim(key, unique(), 4, 10), 0);
      await deleteOne(store, key);
      assert.equal(await store.trim(key, before, 4, 10), 0);
      await putMany(store, key, 3, "new");
      assert.equal(await store.trim(key, before, 4, 10), 0);
      assert.deepEqual(await listVersions(store, key), [1, 2, 3]);
      assert.equal(await store.trim(key, await incarnationOf(store, key), 3, 10), 2);
      assert.deepEqual(await listVersions(store, key), [3]);
    },
  },
  {
    name: "forgets with a delete what was trimmed",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putMany(store, key, 8);
      assert.equal(await store.trim(key, await incarnationOf(store, key), 7, 10), 6);
      assert.equal(await readOne(store, key, { version: 2 }), "trimmed");
      assert.equal(await deleteOne(store, key), 2);
      assert.equal(await readOne(store, key, { version: 2 }), undefined);
      await putOne(store, key, "reborn");
      assert.equal(textOf(await readOne(store, key, { version: 1 })), "reborn");
      assert.equal(await readOne(store, key, { version: 2 }), undefined);
    },
  },
  {
    name: "shows no entry as of a time whose version was trimmed",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const incarnation = unique();
      for (let version = 1; version <= 4; version += 1) {
        const imported = { incarnation, version, createdAt: version * 1000 };
        await putOne(store, key, `value ${version}`, { imported });
      }
      assert.equal(textOf(await readOne(store, key, { asOf: 2_500 })), "value 2");
      assert.equal(await store.trim(key, incarnation, 3, 10), 2);
      const gone = await readOne(store, key, { asOf: 2_500 });
      assert.ok(gone === undefined || gone === "trimmed", "no other version stands in for it");
      assert.equal(textOf(await readOne(store, key, { asOf: 3_000 })), "value 3");
      assert.equal(textOf(await readOne(store, key, { asOf: 9_000 })), "value 4");
    },
  },
  {
    name: "trims 2,500 versions while others are put",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putMany(store, key, 2_500);
      const incarnation = await incarnationOf(store, key);
      const trimming = async (): Promise<number> => {
        let removed = 0;
        for (let step = 0; step < 100; step += 1) {
          const now = await store.trim(key, incarnation, 2_401, 1000);
          removed += now;
          if (now < 1000) return removed;
        }
        return removed;
      };
      const [removed] = await Promise.all([trimming(), putMany(store, key, 30, "later")]);
      assert.equal(removed, 2_400);
      const kept = await listVersions(store, key);
      assert.deepEqual(
        kept,
        Array.from({ length: 130 }, (_, i) => 2_401 + i),
      );
      assert.equal(textOf(await readOne(store, key, { version: 2_401 })), "value-2401");
      assert.equal(await readOne(store, key, { version: 1_200 }), "trimmed");
    },
  },
];
