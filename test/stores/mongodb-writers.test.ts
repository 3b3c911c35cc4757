import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  at,
  committed,
  keyOf,
  put,
  putOne,
  readOne,
  textOf,
  transaction,
  unique,
} from "../../src/conformance/build.ts";
import type { Key } from "../../src/key.ts";
import type { Store } from "../../src/store.ts";
import { startMongodb, type MongodbServer } from "../servers/mongodb.ts";
import { isSelected } from "../servers/selection.ts";
import { MovableClocks, TestState } from "./mongodb-support.ts";

interface Counts {
  readonly inserts: number;
  /** Reads of where logs end. */
  readonly reads: number;
  /** Looks at what others have written. */
  readonly looks: number;
}

/** MongoDB's own counters would count what it asks itself as well, now and then. */
async function countCommands(state: TestState, run: () => Promise<void>): Promise<Counts> {
  const commands = await state.profile(run);
  const count = (name: string): number => commands.filter(({ command }) => name in command).length;
  return { inserts: count("insert"), reads: count("aggregate"), looks: count("find") };
}

for (const replicaSet of [false, true]) {
  const name = replicaSet ? "mongodb-replica-set" : "mongodb";
  if (!isSelected(name)) continue;
  let server: MongodbServer;
  before(async () => {
    server = await startMongodb({ replicaSet });
  });
  after(() => server.stop());

  /** Every store puts to all keys in one batch, one store after the other. */
  const takeTurns = async (
    stores: readonly Store[],
    keys: readonly Key[],
    rounds: number,
  ): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      for (const store of stores) {
        const outcomes = await store.commit(
          keys.map((key) => transaction({ puts: [put(key, `round ${round}`)] })),
        );
        for (const outcome of outcomes) committed(outcome);
      }
    }
  };

  test(`${name}: stores that take turns at the same keys lose no races, and read no logs`, async () => {
    const state = new TestState(server);
    const stores = [await state.open(), await state.open(), await state.open()];
    const keys = Array.from({ length: 10 }, () => keyOf(unique()));
    await takeTurns(stores, keys, 4);
    const counts = await countCommands(state, () => takeTurns(stores, keys, 10));
    assert.deepEqual(counts, { inserts: 30, reads: 0, looks: 30 });
    for (const key of keys) assert.equal((await putOne(at(stores, 0), key, "last")).version, 43);
  });

  test(`${name}: a store that is left alone soon looks for others no more`, async () => {
    const state = new TestState(server);
    const [one, other] = [await state.open(), await state.open()];
    const keys = [keyOf(unique()), keyOf(unique())];
    await takeTurns([one, other], keys, 4);
    await takeTurns([one], keys, 30);
    const { inserts, reads, looks } = await countCommands(state, () => takeTurns([one], keys, 60));
    assert.deepEqual([inserts, reads], [60, 0]);
    assert.ok(looks <= 3, `${looks} looks`);
    await takeTurns([other], keys, 1);
    assert.equal((await putOne(one, at(keys, 0), "last")).version, 100);
  });

  test(`${name}: what a store has not looked at for long, it does not build on`, async () => {
    const state = new TestState(server);
    const clock = new MovableClocks();
    const [one, other] = [await state.open({ clock }), await state.open()];
    const key = keyOf(unique());
    await takeTurns([one, other], [key], 4);
    for (const kind of ["wallOffsetMs", "steadyOffsetMs"] as const) {
      await takeTurns([other], [key], 1);
      clock[kind] += 60_000;
      const { inserts, reads } = await countCommands(state, () => takeTurns([one], [key], 1));
      assert.deepEqual([inserts, reads], [1, 1], "the end of the log was read");
    }
  });

  test(`${name}: versions stay dense while stores write to the same keys at once`, async () => {
    const state = new TestState(server);
    const stores = [await state.open(), await state.open(), await state.open()];
    const keys = Array.from({ length: 8 }, () => keyOf(unique()));
    const written = new Map<string, string>();
    const write = async (store: Store, writer: number): Promise<void> => {
      for (let round = 0; round < 25; round += 1) {
        const some = keys.filter((_, i) => (i + round + writer) % 3 !== 0);
        const text = `${writer} ${round}`;
        const outcomes = await store.commit(
          some.map((key) => transaction({ puts: [put(key, text)] })),
        );
        outcomes.forEach((outcome, i) => {
          const place = `${at(committed(outcome).puts, 0).version} ${at(some, i)}`;
          assert.ok(!written.has(place), `${place} was written twice`);
          written.set(place, text);
        });
      }
    };
    await Promise.all(stores.map(write));
    for (const key of keys) {
      const last = await readOne(at(stores, 0), key);
      assert.ok(typeof last === "object");
      for (let version = 1; version <= last.version; version += 1) {
        const entry = await readOne(at(stores, 1), key, { version });
        assert.equal(textOf(entry), written.get(`${version} ${key}`));
      }
      const places = [...written.keys()].filter((place) => place.endsWith(` ${key}`));
      assert.equal(places.length, last.version);
    }
  });
}
