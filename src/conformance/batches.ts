import assert from "node:assert/strict";
import { at, committed, existing, put, putMany, readEntry, readOne } from "./build.ts";
import { textOf, transaction, unique } from "./build.ts";
import type { StoreCase } from "./context.ts";
import type { Key } from "../key.ts";
import { BATCH_ITEMS_MAX } from "../limits.ts";
import type { Store } from "../store.ts";

/** Many reads or writes in one call. */
export const batchCases: readonly StoreCase[] = [
  {
    name: "answers many queries in the order asked, the same one twice too",
    async run(context) {
      const { store } = context;
      const [a, b, none] = [context.key(), context.key(), context.key()];
      await putMany(store, a, 3, "a");
      await putMany(store, b, 2, "b");
      const asked = [
        { key: b, select: "latest", value: true },
        { key: none, select: "latest", value: true },
        { key: a, select: { version: 1 }, value: true },
        { key: a, select: "latest", value: true },
        { key: b, select: { version: 1 }, value: true },
        { key: a, select: { version: 4 }, value: true },
        { key: a, select: "latest", value: false },
        { key: a, select: "latest", value: true },
        { key: a, select: { version: 1 }, value: true },
      ] as const;
      const results = await store.read(asked);
      const texts = results.map((result, i) =>
        asked[i]?.value === false ? existing(result, "a").version : textOf(result),
      );
      assert.deepEqual(texts, ["b-2", undefined, "a-1", "a-3", "b-1", undefined, 3, "a-3", "a-1"]);
      assert.deepEqual(await store.read([]), []);
    },
  },
  {
    name: "reads five hundred entries in one batch, each its own",
    async run(context) {
      const { store } = context;
      const keys = Array.from({ length: 250 }, () => context.key());
      const puts = keys.flatMap((key) => [`first ${key}`, `second ${key}`].map((v) => put(key, v)));
      for (const outcome of await store.commit(puts.map((one) => transaction({ puts: [one] })))) {
        committed(outcome);
      }
      const queries = keys.flatMap((key) => [
        { key, select: "latest", value: true } as const,
        { key, select: { version: 1 }, value: true } as const,
      ]);
      const texts = (await store.read(queries)).map(textOf);
      assert.deepEqual(
        texts,
        keys.flatMap((key) => [`second ${key}`, `first ${key}`]),
      );
    },
  },
  {
    name: "commits many transactions to one key in one batch, in the order given",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const batch = Array.from({ length: 40 }, (_, i) =>
        transaction({ puts: [put(key, `v${i + 1}`)] }),
      );
      const outcomes = (await store.commit(batch)).map(committed);
      assert.deepEqual(
        outcomes.map((outcome) => at(outcome.puts, 0).version),
        batch.map((_, i) => i + 1),
      );
      assert.deepEqual(
        new Set(outcomes.map((outcome) => at(outcome.puts, 0).incarnation)),
        new Set([at(batch, 0).incarnation]),
      );
      for (const version of [1, 2, 39, 40]) {
        assert.equal(textOf(await readOne(store, key, { version })), `v${version}`);
      }
      assert.deepEqual(await store.commit([]), []);
    },
  },
  {
    name: "lets each transaction of a batch see what those before it did",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const at1 = { kind: "version", key, version: 1 } as const;
      const outcomes = await store.commit([
        transaction({ conditions: [{ kind: "absent", key }], puts: [put(key, "one")] }),
        transaction({ conditions: [{ kind: "absent", key }], puts: [put(key, "not")] }),
        transaction({ conditions: [at1], puts: [put(key, "two")] }),
        transaction({ conditions: [at1], puts: [put(key, "not")] }),
        transaction({ deletes: [key] }),
        transaction({ conditions: [{ kind: "absent", key }], puts: [put(key, "new life")] }),
        transaction({ conditions: [at1], reads: [key] }),
      ]);
      assert.deepEqual(
        outcomes.map(({ outcome }) => outcome),
        ["committed", "conflict", "committed", "conflict", "committed", "committed", "committed"],
      );
      assert.deepEqual(committed(at(outcomes, 4)).deletes, [{ versions: 2 }]);
      assert.equal(textOf(committed(at(outcomes, 6)).reads[0]), "new life");
      assert.equal((await readEntry(store, key)).version, 1);
      assert.equal(textOf(await readOne(store, key)), "new life");
    },
  },
  {
    name: "touches no neighbour in a batch with one unmet condition",
    async run(context) {
      const { store } = context;
      const keys = Array.from({ length: 30 }, () => context.key());
      const batch = keys.map((key, i) =>
        transaction({
          conditions: i % 3 === 1 ? [{ kind: "present", key }] : [],
          puts: [put(key, unique())],
        }),
      );
      const outcomes = await store.commit(batch);
      assert.deepEqual(
        outcomes.map(({ outcome }) => outcome),
        keys.map((_, i) => (i % 3 === 1 ? "conflict" : "committed")),
      );
      const results = await store.read(
        keys.map((key) => ({ key, select: "latest", value: false }) as const),
      );
      assert.deepEqual(
        results.map((result) => result !== undefined),
        keys.map((_, i) => i % 3 !== 1),
      );
    },
  },
  {
    name: "commits as many transactions as a batch may hold, over many keys, each numbered",
    async run(context) {
      const { store } = context;
      const keys = Array.from({ length: 200 }, () => context.key());
      const batch = Array.from({ length: BATCH_ITEMS_MAX }, (_, i) => {
        const key = at(keys, (i * 7) % keys.length);
        return transaction({ puts: [put(key, `value ${i}`)] });
      });
      const outcomes = (await store.commit(batch)).map(committed);
      const counts = new Map<Key, number>();
      for (const [i, outcome] of outcomes.entries()) {
        const key = at(keys, (i * 7) % keys.length);
        const version = (counts.get(key) ?? 0) + 1;
        counts.set(key, version);
        assert.equal(at(outcome.puts, 0).version, version, `transaction ${i}`);
      }
      const queries = batch.map((_, i) => ({
        key: at(keys, (i * 7) % keys.length),
        select: { version: at(at(outcomes, i).puts, 0).version },
        value: true,
      }));
      const texts = (await store.read(queries)).map(textOf);
      assert.deepEqual(
        texts,
        batch.map((_, i) => `value ${i}`),
      );
    },
  },
  {
    name: "settles batches that meet over the same keys in opposite orders",
    async run(context) {
      const { store, facts } = context;
      const other = facts.shared ? await context.open() : store;
      const keys = context.taggedKeys(12);
      const rounds = 12;
      const write = async (by: Store, order: readonly Key[]): Promise<void> => {
        for (let round = 0; round < rounds; round += 1) {
          const batch = order.map((key) => transaction({ puts: [put(key, unique())] }));
          for (const outcome of await by.commit(batch)) committed(outcome);
        }
      };
      const reverse = keys.toReversed();
      await Promise.all([
        write(store, keys),
        write(other, reverse),
        write(other, keys),
        write(store, reverse),
      ]);
      for (const key of keys) assert.equal((await readEntry(store, key)).version, 4 * rounds);
    },
  },
  {
    name: "settles transactions that meet over the same keys in opposite orders",
    needs: ["several-keys"],
    async run(context) {
      const { store, facts } = context;
      const other = facts.shared ? await context.open() : store;
      const keys = context.taggedKeys(6);
      const rounds = 10;
      const write = async (by: Store, order: readonly Key[]): Promise<void> => {
        for (let round = 0; round < rounds; round += 1) {
          const text = unique();
          const parts = { puts: order.map((key) => put(key, text)) };
          committed(at(await by.commit([transaction(parts)]), 0));
        }
      };
      await Promise.all([write(store, keys), write(other, keys.toReversed())]);
      const results = await store.read(
        keys.map((key) => ({ key, select: "latest", value: true }) as const),
      );
      assert.equal(new Set(results.map(textOf)).size, 1, "the last one wrote all of them");
      for (const result of results) assert.equal(existing(result, "a key").version, 2 * rounds);
    },
  },
];
