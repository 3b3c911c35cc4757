import assert from "node:assert/strict";
import { at, commit, committed, existing, keyOf, put, putMany, putOne, readOne } from "./build.ts";
import { textOf, transaction, unique } from "./build.ts";
import type { StoreCase, StoreContext } from "./context.ts";
import type { Key } from "../key.ts";
import { TRANSACTION_ITEMS_MAX } from "../limits.ts";
import type { Store } from "../store.ts";

async function latestTexts(store: Store, keys: readonly Key[]): Promise<readonly unknown[]> {
  const queries = keys.map((key) => ({ key, select: "latest", value: true }) as const);
  return (await store.read(queries)).map(textOf);
}

/** Keys that nothing ties together, so that a store with partitions spreads them. */
function scatteredKeys(count: number): readonly Key[] {
  return Array.from({ length: count }, (_, i) => keyOf(`${unique()}{${unique()}}${i}`));
}

/** Several keys together, all or nothing. The cases over `{tag}` keys are left to `one-key` stores. */
export const transactionCases: readonly StoreCase[] = [
  {
    name: "writes all of a transaction's keys where its conditions hold",
    needs: ["several-keys"],
    async run(context) {
      const { store } = context;
      const [a, b, c, d, e] = five(context);
      await putMany(store, b, 2, "b");
      await putMany(store, c, 3, "c");
      await putMany(store, e, 1, "e");
      const done = committed(
        await commit(store, {
          conditions: [
            { kind: "absent", key: a },
            { kind: "version", key: b, version: 2 },
            { kind: "present", key: e },
          ],
          puts: [put(b, "b-3"), put(a, "a-1")],
          deletes: [d, c],
          reads: [c, a, e, b, c],
        }),
      );
      assert.deepEqual(
        done.puts.map(({ version }) => version),
        [3, 1],
      );
      assert.deepEqual(done.deletes, [{ versions: 0 }, { versions: 3 }]);
      assert.deepEqual(done.reads.map(textOf), ["c-3", undefined, "e-1", "b-2", "c-3"]);
      const texts = await latestTexts(store, [a, b, c, d, e]);
      assert.deepEqual(texts, ["a-1", "b-3", undefined, undefined, "e-1"]);
    },
  },
  {
    name: "writes nothing of a transaction with one unmet condition, wherever it stands",
    needs: ["several-keys"],
    async run(context) {
      const { store } = context;
      const keys = context.taggedKeys(12);
      const [gone, kept] = [keys.slice(0, 6), keys.slice(6)];
      for (const key of kept) await putMany(store, key, 2);
      const before = await latestTexts(store, keys);
      for (const unmet of keys) {
        const outcome = await commit(store, {
          conditions: keys.map((key) => ({
            key,
            kind: gone.includes(key) === (key !== unmet) ? "absent" : "present",
          })),
          puts: keys.slice(0, 9).map((key) => put(key, "never")),
          deletes: keys.slice(9),
        });
        assert.ok(outcome.outcome === "conflict");
        assert.deepEqual(
          outcome.unmet.map(({ key }) => key),
          [unmet],
        );
        assert.deepEqual(await latestTexts(store, keys), before);
      }
      for (const key of kept) {
        assert.equal(existing(await readOne(store, key), key).version, 2);
        assert.equal(textOf(await readOne(store, key, { version: 1 })), "value-1");
      }
    },
  },
  {
    name: "reads in a transaction what was there just before its writes",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const first = await putOne(store, key, "one", { contentType: "text/x", author: "me" });
      const done = committed(await commit(store, { puts: [put(key, "two")], reads: [key] }));
      const read = done.reads[0];
      assert.equal(textOf(read), "one");
      assert.deepEqual([read?.incarnation, read?.version], [first.incarnation, 1]);
      assert.deepEqual([read?.contentType, read?.author, read?.size], ["text/x", "me", 3]);
      const last = committed(await commit(store, { deletes: [key], reads: [key] }));
      assert.equal(textOf(last.reads[0]), "two");
      assert.deepEqual(last.deletes, [{ versions: 2 }]);
      const none = committed(await commit(store, { puts: [put(key, "new")], reads: [key] }));
      assert.deepEqual(none.reads, [undefined]);
      assert.equal(at(none.puts, 0).version, 1);
    },
  },
  {
    name: "takes as many conditions, writes and reads as a transaction may hold",
    needs: ["several-keys"],
    async run(context) {
      const { store } = context;
      const keys = context.taggedKeys(TRANSACTION_ITEMS_MAX);
      for (const round of [1, 2]) {
        const done = committed(
          await commit(store, {
            conditions: keys.map((key) =>
              round === 1 ? { kind: "absent", key } : { kind: "version", key, version: 1 },
            ),
            puts: keys.map((key) => put(key, `${round} of ${key}`)),
            reads: keys,
          }),
        );
        assert.deepEqual(
          done.puts.map(({ version }) => version),
          keys.map(() => round),
        );
        assert.deepEqual(
          done.reads.map(textOf),
          keys.map((key) => (round === 1 ? undefined : `1 of ${key}`)),
        );
      }
      const done = committed(await commit(store, { deletes: keys }));
      assert.deepEqual(
        done.deletes,
        keys.map(() => ({ versions: 2 })),
      );
      assert.deepEqual(
        await latestTexts(store, keys),
        keys.map(() => undefined),
      );
    },
  },
  {
    name: "refuses keys that it can't take together, and writes none of them",
    needs: ["some-keys-apart"],
    async run(context) {
      const { store, facts } = context;
      const keys = facts.transactions === "one-key" ? context.taggedKeys(8) : scatteredKeys(8);
      const neighbour = context.key();
      const outcomes = await store.commit([
        transaction({ puts: keys.map((key) => put(key, "together")) }),
        transaction({ puts: [put(neighbour, "alone")] }),
        transaction({ reads: keys }),
      ]);
      assert.deepEqual(
        outcomes.map(({ outcome }) => outcome),
        ["unsupported", "committed", "unsupported"],
      );
      assert.deepEqual(
        await latestTexts(store, keys),
        keys.map(() => undefined),
      );
      assert.equal(textOf(await readOne(store, neighbour)), "alone");
      for (const key of keys) await putOne(store, key, "apart");
      assert.deepEqual(
        await latestTexts(store, keys),
        keys.map(() => "apart"),
      );
    },
  },
  {
    name: "takes keys together that have nothing in common",
    needs: ["any-keys"],
    async run(context) {
      const { store } = context;
      const keys = scatteredKeys(24);
      committed(await commit(store, { puts: keys.map((key) => put(key, "together")) }));
      assert.deepEqual(
        await latestTexts(store, keys),
        keys.map(() => "together"),
      );
      const outcome = await commit(store, {
        conditions: keys.map((key, i) => ({ kind: "version", key, version: i === 17 ? 2 : 1 })),
        deletes: keys,
      });
      assert.equal(outcome.outcome, "conflict");
      assert.deepEqual(
        await latestTexts(store, keys),
        keys.map(() => "together"),
      );
    },
  },
  {
    name: "takes transactions over the same keys in one batch in their order",
    needs: ["several-keys"],
    async run(context) {
      const { store } = context;
      const [a, b, c] = five(context);
      const outcomes = await store.commit([
        transaction({ puts: [put(a, "a1"), put(b, "b1")] }),
        transaction({
          conditions: [{ kind: "absent", key: c }],
          puts: [put(b, "b2"), put(c, "c1")],
        }),
        transaction({ conditions: [{ kind: "absent", key: c }], puts: [put(a, "never")] }),
        transaction({ puts: [put(c, "c2")], deletes: [a], reads: [a, b, c] }),
        transaction({ puts: [put(a, "a1 again")], reads: [a, c] }),
      ]);
      assert.equal(at(outcomes, 2).outcome, "conflict");
      const done = outcomes.flatMap((one) => (one.outcome === "committed" ? [one] : []));
      assert.deepEqual(
        done.map(({ puts }) => puts.map(({ version }) => version)),
        [[1, 1], [2, 1], [2], [1]],
      );
      assert.deepEqual(at(done, 2).reads.map(textOf), ["a1", "b2", "c1"]);
      assert.deepEqual(at(done, 3).reads.map(textOf), [undefined, "c2"]);
      assert.deepEqual(await latestTexts(store, [a, b, c]), ["a1 again", "b2", "c2"]);
    },
  },
  {
    name: "shows no half of a transaction to a read of all its keys",
    needs: ["several-keys"],
    async run(context) {
      const { store } = context;
      const keys = context.taggedKeys(5);
      committed(await commit(store, { puts: keys.map((key) => put(key, "round 0")) }));
      const write = async (): Promise<void> => {
        for (let round = 1; round <= 15; round += 1) {
          committed(await commit(store, { puts: keys.map((key) => put(key, `round ${round}`)) }));
        }
      };
      const look = async (): Promise<void> => {
        for (let i = 0; i < 15; i += 1) {
          const { reads } = committed(await commit(store, { reads: keys }));
          assert.equal(new Set(reads.map(textOf)).size, 1, reads.map(textOf).join(" | "));
        }
      };
      await Promise.all([write(), look(), look()]);
    },
  },
];

function five(context: StoreContext): readonly [Key, Key, Key, Key, Key] {
  const keys = context.taggedKeys(5);
  return [at(keys, 0), at(keys, 1), at(keys, 2), at(keys, 3), at(keys, 4)];
}
