import assert from "node:assert/strict";
import {
  committed,
  deleteOne,
  existing,
  put,
  transaction,
  putOne,
  readEntry,
  readOne,
  unique,
} from "./build.ts";
import type { StoreCase } from "./context.ts";
import type { Key } from "../key.ts";
import type { PutResult, Store } from "../store.ts";

/** Imports versions made at these moments: times that a case chooses need no clock. */
async function importAt(store: Store, key: Key, times: readonly number[]): Promise<void> {
  const incarnation = unique();
  const batch = times.map((createdAt, i) => {
    const imported = { incarnation, version: i + 1, createdAt };
    return transaction({ puts: [put(key, `made at ${createdAt}`, { imported })] });
  });
  for (let first = 0; first < batch.length; first += 256) {
    const outcomes = await store.commit(batch.slice(first, first + 256));
    for (const outcome of outcomes) committed(outcome);
  }
}

/** The version that was the latest at each moment; undefined where there was none. */
async function versionsAsOf(
  store: Store,
  key: Key,
  moments: readonly number[],
): Promise<readonly (number | undefined)[]> {
  const queries = moments.map((asOf) => ({ key, select: { asOf }, value: true }) as const);
  const results = await store.read(queries);
  return results.map((result) =>
    result === undefined ? result : existing(result, "as of").version,
  );
}

/** Reads that ask for what was the latest at a moment. */
export const asOfCases: readonly StoreCase[] = [
  {
    name: "reads what was the latest at a moment",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await importAt(store, key, [1_000, 2_000, 2_000, 2_001, 5_000]);
      const moments = [0, 999, 1_000, 1_001, 1_999, 2_000, 2_001, 4_999, 5_000, 2 ** 45];
      const expected = [undefined, undefined, 1, 1, 1, 3, 4, 4, 5, 5];
      assert.deepEqual(await versionsAsOf(store, key, moments), expected);
      assert.equal((await readEntry(store, key, { asOf: 3_000 })).createdAt, 2_001);
    },
  },
  {
    name: "takes the last of many versions made in one millisecond",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await importAt(store, key, [...Array.from({ length: 30 }, () => 7_000), 7_001]);
      assert.deepEqual(await versionsAsOf(store, key, [6_999, 7_000, 7_001]), [undefined, 30, 31]);
    },
  },
  {
    name: "reads as of each moment of a history of 700 versions",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const times = Array.from({ length: 700 }, (_, i) => 10_000 + 10 * i);
      await importAt(store, key, times);
      for (const between of [0, 9]) {
        const moments = times.map((time) => time + between);
        assert.deepEqual(
          await versionsAsOf(store, key, moments),
          times.map((_, i) => i + 1),
        );
      }
    },
  },
  {
    name: "reads its own puts as of the moments that their answers name",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const results: PutResult[] = [];
      for (let i = 0; i < 6; i += 1) results.push(await putOne(store, key, `value ${i}`));
      for (const { createdAt, version } of results) {
        const last = results.findLast((other) => other.createdAt === createdAt);
        const entry = await readEntry(store, key, { asOf: createdAt });
        assert.equal(entry.version, last?.version, `as of version ${version}`);
      }
      const first = results[0]?.createdAt ?? 0;
      assert.equal(await readOne(store, key, { asOf: first - 1 }), undefined);
    },
  },
  {
    name: "has nothing to read as of a time before the key's present life",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await importAt(store, key, [1_000, 2_000]);
      assert.deepEqual(await versionsAsOf(store, key, [1_500]), [1]);
      await deleteOne(store, key);
      await importAt(store, key, [3_000]);
      assert.deepEqual(await versionsAsOf(store, key, [1_500, 2_999, 3_000]), [
        undefined,
        undefined,
        1,
      ]);
    },
  },
];
