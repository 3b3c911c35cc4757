import assert from "node:assert/strict";
import { at, commit, committed, deleteOne, put, putOne, readEntry, readOne } from "./build.ts";
import { textOf, transaction, unique } from "./build.ts";
import type { StoreCase } from "./context.ts";
import { maintainAll } from "./deletes.ts";
import type { Key } from "../key.ts";
import type { ImportedEntry, Put, Store, Transaction } from "../store.ts";

function importedPut(key: Key, imported: ImportedEntry): Put {
  return put(key, `imported ${imported.version}`, { imported, author: `by ${imported.version}` });
}

/** Asserts that an import is refused because of the key's latest entry. */
async function assertRefused(store: Store, key: Key, imported: ImportedEntry): Promise<void> {
  const before = await readEntry(store, key);
  const outcome = await commit(store, { puts: [importedPut(key, imported)] });
  assert.ok(outcome.outcome === "conflict", JSON.stringify({ imported, outcome }));
  const { incarnation, version } = before;
  assert.deepEqual(outcome.unmet, [{ condition: -1, key, current: { incarnation, version } }]);
  assert.deepEqual(await readEntry(store, key), before);
}

/** Migration puts entries as they were elsewhere. */
export const importCases: readonly StoreCase[] = [
  {
    name: "keeps version, incarnation, time and metadata of imported entries",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const incarnation = unique();
      const entries = [1, 2, 3].map((version) => ({
        incarnation,
        version,
        createdAt: version * 11,
      }));
      const outcomes = await store.commit(
        entries.map((entry) => transaction({ puts: [importedPut(key, entry)] })),
      );
      assert.deepEqual(
        outcomes.map((one) => at(committed(one).puts, 0)),
        entries,
      );
      for (const entry of entries) {
        const { createdAt, author, ...stored } = await readEntry(store, key, {
          version: entry.version,
        });
        assert.equal(stored.incarnation, incarnation);
        assert.deepEqual([createdAt, author], [entry.createdAt, `by ${entry.version}`]);
      }
      const next = await putOne(store, key, "of this store");
      assert.deepEqual([next.version, next.incarnation], [4, incarnation]);
      assert.ok(next.createdAt > 33, "a put after an import is of now");
    },
  },
  {
    name: "starts an imported history above version 1",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const incarnation = unique();
      for (const version of [41, 42]) {
        const entry = { incarnation, version, createdAt: 5_000 };
        committed(await commit(store, { puts: [importedPut(key, entry)] }));
      }
      assert.equal(await readOne(store, key, { version: 40 }), "trimmed");
      assert.equal(await readOne(store, key, { version: 1 }), "trimmed");
      assert.equal(await readOne(store, key, { version: 43 }), undefined);
      assert.equal(textOf(await readOne(store, key, { version: 41 })), "imported 41");
      const listed = await store.history(key, { order: "oldest-first", after: 0, limit: 9 });
      assert.deepEqual(
        listed.map(({ version }) => version),
        [41, 42],
      );
      assert.equal((await putOne(store, key, "next")).version, 43);
      assert.equal(await deleteOne(store, key), 3);
    },
  },
  {
    name: "refuses an imported entry that does not follow the latest",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const { incarnation, createdAt } = await putOne(store, key, "of this store");
      for (const version of [1, 3, 7])
        await assertRefused(store, key, { incarnation, version, createdAt });
      await assertRefused(store, key, { incarnation: unique(), version: 2, createdAt });
      const follows = { incarnation, version: 2, createdAt };
      committed(await commit(store, { puts: [importedPut(key, follows)] }));
      assert.equal(textOf(await readOne(store, key)), "imported 2");
    },
  },
  {
    name: "imports a life again after it was deleted here, without a trace of the first time",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const incarnation = unique();
      for (const version of [1, 2, 3]) {
        await putOne(store, key, `first time ${version}`, {
          imported: { incarnation, version, createdAt: version },
        });
      }
      assert.equal(await deleteOne(store, key), 3);
      const imported = { incarnation, version: 1, createdAt: 1 };
      await putOne(store, key, "second time 1", { imported });
      assert.equal(textOf(await readOne(store, key, { version: 1 })), "second time 1");
      assert.equal(await readOne(store, key, { version: 2 }), undefined);
      for (let step = 0; step < 100; step += 1) {
        if (!(await store.maintain({ feedRetentionMs: 86_400_000 }))) break;
      }
      assert.equal(textOf(await readOne(store, key)), "second time 1");
      assert.equal((await putOne(store, key, "second time 2")).version, 2);
      assert.equal(textOf(await readOne(store, key, { version: 2 })), "second time 2");
      assert.equal(await readOne(store, key, { version: 3 }), undefined);
    },
  },
  {
    name: "imports a life again in the very batch that deletes it",
    async run(context) {
      const { store } = context;
      // One that starts over, and one that goes on after what was deleted.
      for (const again of [1, 4]) {
        const key = context.key();
        const incarnation = unique();
        const importAt = (version: number, value: string): Transaction => {
          const imported = { incarnation, version, createdAt: version };
          return transaction({ puts: [put(key, value, { imported })] });
        };
        const lifeOf = (...versions: number[]): readonly Transaction[] =>
          versions.map((version) => importAt(version, `first ${version}`));
        for (const outcome of await store.commit(lifeOf(1, 2, 3))) committed(outcome);
        const outcomes = await store.commit([
          transaction({ deletes: [key] }),
          ...lifeOf(1, 2),
          transaction({ deletes: [key] }),
          importAt(again, "second"),
        ]);
        const results = outcomes.map((outcome) => {
          const { puts, deletes } = committed(outcome);
          return puts[0]?.version ?? deletes[0]?.versions;
        });
        assert.deepEqual(results, [3, 1, 2, 2, again]);
        await maintainAll(store);
        const history = await store.history(key, { order: "oldest-first", after: 0, limit: 9 });
        assert.deepEqual(
          history.map(({ version }) => version),
          [again],
        );
        assert.equal(textOf(await readOne(store, key, { version: again })), "second");
        const before = again > 1 ? "trimmed" : undefined;
        const wanted = again > 1 ? again - 1 : again + 1;
        assert.equal(await readOne(store, key, { version: wanted }), before);
      }
    },
  },
];
