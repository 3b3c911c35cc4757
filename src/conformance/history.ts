import assert from "node:assert/strict";
import { at, hash, putMany, putOne, readEntry, readOne, textOf } from "./build.ts";
import type { StoreCase } from "./context.ts";
import type { Key } from "../key.ts";
import type { Store } from "../store.ts";

/** Pages through a history from one end to the other, and answers the versions in their order. */
async function walk(
  store: Store,
  key: Key,
  order: "newest-first" | "oldest-first",
  limit: number,
): Promise<readonly number[]> {
  const versions: number[] = [];
  for (;;) {
    const last = versions.at(-1);
    const page =
      order === "newest-first"
        ? await store.history(key, { order, before: last, limit })
        : await store.history(key, { order, after: last ?? 0, limit });
    assert.ok(page.length <= limit, `a page of ${limit} holds no more`);
    for (const { version } of page) {
      const before = versions.at(-1) ?? (order === "newest-first" ? Infinity : 0);
      const isNext = order === "newest-first" ? version < before : version > before;
      assert.ok(isNext, `version ${version} does not come after ${before}, ${order}`);
      versions.push(version);
    }
    if (page.length < limit) return versions;
  }
}

/** A key's history is listed in order, by pages, in both directions. */
export const historyCases: readonly StoreCase[] = [
  {
    name: "pages through 2,100 versions in both orders, past every limit",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const count = 2100;
      await putMany(store, key, count);
      const upward = Array.from({ length: count }, (_, i) => i + 1);
      for (const limit of [70, 1000, 5000]) {
        assert.deepEqual(await walk(store, key, "oldest-first", limit), upward);
        assert.deepEqual(await walk(store, key, "newest-first", limit), upward.toReversed());
      }
      assert.equal(textOf(await readOne(store, key, { version: 1033 })), "value-1033");
    },
  },
  {
    name: "pages one by one without missing or repeating a version",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putMany(store, key, 23);
      for (const order of ["oldest-first", "newest-first"] as const) {
        for (const limit of [1, 7, 22, 23, 24]) {
          const versions = await walk(store, key, order, limit);
          const upward = Array.from({ length: 23 }, (_, i) => i + 1);
          assert.deepEqual(versions, order === "oldest-first" ? upward : upward.toReversed());
        }
      }
    },
  },
  {
    name: "starts a page of a history where it is told to",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putMany(store, key, 12);
      const newest = async (before: number | undefined, limit: number) =>
        (await store.history(key, { order: "newest-first", before, limit })).map((e) => e.version);
      const oldest = async (after: number, limit: number) =>
        (await store.history(key, { order: "oldest-first", after, limit })).map((e) => e.version);
      assert.deepEqual(await newest(undefined, 3), [12, 11, 10]);
      assert.deepEqual(await newest(10, 3), [9, 8, 7]);
      assert.deepEqual(await newest(2, 3), [1]);
      assert.deepEqual(await newest(1, 3), []);
      assert.deepEqual(await newest(1000, 2), [12, 11]);
      assert.deepEqual(await newest(Number.MAX_SAFE_INTEGER, 1), [12]);
      assert.deepEqual(await oldest(0, 3), [1, 2, 3]);
      assert.deepEqual(await oldest(9, 2), [10, 11]);
      assert.deepEqual(await oldest(11, 9), [12]);
      assert.deepEqual(await oldest(12, 9), []);
      assert.deepEqual(await oldest(Number.MAX_SAFE_INTEGER, 9), []);
    },
  },
  {
    name: "lists each version with its own metadata, and without its value",
    async run(context) {
      const { store } = context;
      const key = context.key();
      for (let i = 1; i <= 5; i += 1) {
        const more = { contentType: `t/${i}`, author: `a${i}`, message: `m${i}` };
        await putOne(store, key, "x".repeat(i), more);
      }
      const listed = await store.history(key, { order: "oldest-first", after: 0, limit: 9 });
      for (const [i, info] of listed.entries()) {
        const { value, ...entry } = await readEntry(store, key, { version: i + 1 });
        assert.ok(value !== undefined);
        assert.deepEqual({ ...info }, entry);
        assert.deepEqual(
          [info.size, info.message, info.digest],
          [i + 1, `m${i + 1}`, hash("x".repeat(i + 1))],
        );
      }
      assert.equal(listed.length, 5);
    },
  },
  {
    name: "has an empty history where the key does not exist",
    async run(context) {
      const { store } = context;
      const [key, none] = [context.key(), context.key()];
      await putOne(store, key, "x");
      assert.equal((await walk(store, key, "oldest-first", 9)).length, 1);
      assert.deepEqual(await walk(store, none, "oldest-first", 9), []);
      assert.deepEqual(await walk(store, none, "newest-first", 9), []);
    },
  },
  {
    name: "grows a history at the end alone while it is paged through",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putMany(store, key, 50);
      const page = await store.history(key, {
        order: "newest-first",
        before: undefined,
        limit: 10,
      });
      await putMany(store, key, 50, "later");
      const before = at(page, -1).version;
      const next = await store.history(key, { order: "newest-first", before, limit: 10 });
      assert.deepEqual(
        next.map(({ version }) => version),
        [40, 39, 38, 37, 36, 35, 34, 33, 32, 31],
      );
    },
  },
];
