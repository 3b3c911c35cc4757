import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { at, commit, deleteOne, existing, putMany, putOne, readOne, textOf } from "./build.ts";
import { unique } from "./build.ts";
import type { StoreCase } from "./context.ts";
import { assertGone, maintainAll } from "./deletes.ts";
import { keyAfter, type Key } from "../key.ts";
import type { Store } from "../store.ts";

/** Puts one version after another, and says how far the acknowledged ones reach. */
class SteadyWriter {
  acknowledged = 0;
  #isDone = false;
  readonly finished: Promise<void>;

  constructor(store: Store, key: Key, count: number) {
    this.finished = this.#write(store, key, count);
    // Whoever awaits it hears of a failure; the readers only have to stop.
    this.finished.catch(() => {});
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  async #write(store: Store, key: Key, count: number): Promise<void> {
    try {
      for (let i = 1; i <= count; i += 1) {
        const { version } = await putOne(store, key, `value-${i}`);
        this.acknowledged = version;
      }
    } finally {
      this.#isDone = true;
    }
  }
}

/** Reads see what was acknowledged, and never less than what was seen before. */
export const visibilityCases: readonly StoreCase[] = [
  {
    name: "shows an acknowledged write to every other instance at once",
    needs: ["shared"],
    async run(context) {
      const { store } = context;
      const other = await context.open();
      const key = context.key();
      for (let i = 1; i <= 25; i += 1) {
        const [writer, reader] = i % 2 === 0 ? [store, other] : [other, store];
        assert.equal((await putOne(writer, key, `turn ${i}`)).version, i);
        assert.equal(textOf(await readOne(reader, key)), `turn ${i}`);
      }
      await commit(other, { deletes: [key] });
      assert.equal(await readOne(store, key), undefined);
    },
  },
  {
    name: "never reads less than was acknowledged, nor than was read before, while others write",
    async run(context) {
      const { store, facts } = context;
      const other = facts.shared ? await context.open() : store;
      const key = context.key();
      await putOne(store, key, "value-1");
      const writer = new SteadyWriter(store, key, 120);
      const follow = async (reader: Store): Promise<void> => {
        let seen = 0;
        while (!writer.isDone) {
          const least = Math.max(seen, writer.acknowledged);
          const entry = existing(await readOne(reader, key), key);
          assert.ok(entry.version >= least, `read ${entry.version}, after ${least}`);
          seen = entry.version;
          // A store that answers at once must not keep the writer from its turn.
          await turn();
        }
      };
      await Promise.all([writer.finished, follow(store), follow(other), follow(other)]);
    },
  },
  {
    name: "lists no hole in a history, nor an old version of a key, while others write",
    async run(context) {
      const { store, facts } = context;
      const other = facts.shared ? await context.open() : store;
      const key = context.key();
      await putOne(store, key, "first");
      const writer = new SteadyWriter(store, key, 120);
      while (!writer.isDone) {
        const least = Math.max(1, writer.acknowledged);
        const page = { order: "oldest-first", after: 0, limit: 1000 } as const;
        const versions = (await other.history(key, page)).map(({ version }) => version);
        assert.ok(versions.length >= least, `${versions.length} versions, after ${least}`);
        assert.deepEqual(
          versions,
          versions.map((_, i) => i + 1),
        );
        const [info] = await other.keys({ from: key, to: keyAfter(key), limit: 1 });
        assert.ok(info !== undefined && info.version >= versions.length, "the list is as new");
        await turn();
      }
      await writer.finished;
    },
  },
  {
    name: "can be kept in order by two instances at once",
    needs: ["shared"],
    async run(context) {
      const { store } = context;
      const other = await context.open();
      const keys = Array.from({ length: 5 }, () => context.key());
      for (const key of keys) await putMany(store, key, 400);
      for (const key of keys) assert.equal(await deleteOne(store, key), 400);
      const reborn = [at(keys, 0), at(keys, 4)];
      const text = unique();
      await Promise.all([
        maintainAll(store),
        maintainAll(other),
        ...reborn.map((key) => putOne(other, key, text)),
      ]);
      for (const key of reborn) {
        assert.equal(textOf(await readOne(store, key)), text);
        assert.equal(await readOne(store, key, { version: 2 }), undefined);
      }
      for (const key of keys.slice(1, 4)) await assertGone(other, key, 400);
    },
  },
];
