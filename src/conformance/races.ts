import assert from "node:assert/strict";
import {
  at,
  committed,
  existing,
  keyOf,
  putOne,
  readOne,
  requestId,
  textOf,
  transaction,
} from "./build.ts";
import { OPENING_BALANCE, openAccounts } from "./bank.ts";
import type { StoreCase, StoreContext } from "./context.ts";
import type { Key } from "../key.ts";
import { assertWrittenOnce } from "./requests.ts";
import type { Store } from "../store.ts";
import type { Written } from "./tasks.ts";

/** Asserts that the acknowledged puts of one life are its versions 1…n, each with its own value. */
export async function assertDense(
  store: Store,
  key: Key,
  written: readonly Written[],
): Promise<void> {
  const own = written.filter((one) => one.key === key).toSorted((a, b) => a.version - b.version);
  assert.deepEqual(
    own.map(({ version }) => version),
    own.map((_, i) => i + 1),
  );
  const history = await store.history(key, { order: "oldest-first", after: 0, limit: 5000 });
  assert.deepEqual(
    history.map(({ version }) => version),
    own.map((_, i) => i + 1),
  );
  assert.equal(new Set(own.map(({ incarnation }) => incarnation)).size, 1, "one life");
  const results = await store.read(
    own.map(({ version }) => ({ key, select: { version }, value: true }) as const),
  );
  assert.deepEqual(
    results.map(textOf),
    own.map(({ value }) => value),
  );
  assert.equal(new Set(own.map(({ value }) => value)).size, own.length, "every value once");
}

async function putFromWorkers(
  context: StoreContext,
  keys: readonly Key[],
  load: { readonly processes: number; readonly count: number; readonly atOnce: number },
): Promise<readonly Written[]> {
  const workers = await context.workers(load.processes);
  const { count, atOnce } = load;
  const writes = workers.map((worker, i) =>
    worker.run("putValues", { keys, writer: `writer ${i}`, count, atOnce }),
  );
  return (await Promise.all(writes)).flat();
}

/** Several processes at once, each with its own connection to the back end. */
export const raceCases: readonly StoreCase[] = [
  {
    name: "numbers the puts of fifty writers in one process 1 to n, every value once",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const write = async (i: number): Promise<Written[]> => {
        const written: Written[] = [];
        for (const value of [`${i}/1`, `${i}/2`, `${i}/3`]) {
          written.push({ ...(await putOne(store, key, value)), key, value });
        }
        return written;
      };
      const written = (await Promise.all(Array.from({ length: 50 }, (_, i) => write(i)))).flat();
      assert.equal(written.length, 150);
      await assertDense(store, key, written);
    },
  },
  {
    name: "numbers the puts of fifty writers in five processes 1 to n, every value once",
    needs: ["shared"],
    async run(context) {
      const key = context.key();
      const written = await putFromWorkers(context, [key], { processes: 5, count: 40, atOnce: 10 });
      assert.equal(written.length, 200);
      await assertDense(context.store, key, written);
    },
  },
  {
    name: "numbers the puts of twelve writers over three processes and several keys without a gap",
    needs: ["shared"],
    async run(context) {
      const keys = Array.from({ length: 7 }, () => context.key());
      const written = await putFromWorkers(context, keys, { processes: 3, count: 140, atOnce: 4 });
      assert.equal(written.length, 420);
      for (const key of keys) await assertDense(context.store, key, written);
    },
  },
  {
    name: "lets one of many conditional writers of three processes win each round",
    needs: ["shared"],
    async run(context) {
      const { store } = context;
      const key = context.key();
      const workers = await context.workers(3);
      for (let round = 0; round < 10; round += 1) {
        const tries = workers.map((worker, i) => {
          const values = Array.from({ length: 17 }, (_, j) => `${round}/${i}/${j}`);
          return worker.run("putIfVersion", { key, version: round, values });
        });
        const outcomes = (await Promise.all(tries)).flat();
        const winners = outcomes.filter(({ outcome }) => outcome === "committed");
        assert.equal(winners.length, 1, `winners of round ${round}`);
        assert.equal(at(committed(at(winners, 0)).puts, 0).version, round + 1);
        assert.ok(
          outcomes.every(({ outcome }) => outcome === "committed" || outcome === "conflict"),
        );
      }
      assert.equal(existing(await readOne(store, key), key).version, 10);
    },
  },
  {
    name: "explains puts and deletes raced by three processes by some order of them",
    needs: ["shared"],
    async run(context) {
      const { store } = context;
      const key = context.key();
      const [first, second, third] = await context.workers(3);
      assert.ok(first !== undefined && second !== undefined && third !== undefined);
      const [one, two, removed] = await Promise.all([
        first.run("putValues", { keys: [key], writer: "a", count: 60, atOnce: 2 }),
        second.run("putValues", { keys: [key], writer: "b", count: 60, atOnce: 2 }),
        third.run("deleteTimes", { key, count: 40 }),
      ]);
      await assertExplained(store, key, [...one, ...two], removed);
    },
  },
  {
    name: "explains puts and deletes raced in one process by some order of them",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const written: Written[] = [];
      const removed: number[] = [];
      const write = async (writer: string): Promise<void> => {
        for (let i = 0; i < 40; i += 1) {
          const value = `${writer}-${i}`;
          written.push({ ...(await putOne(store, key, value)), key, value });
        }
      };
      const remove = async (): Promise<void> => {
        for (let i = 0; i < 25; i += 1) {
          const [outcome] = await store.commit([transaction({ deletes: [key] })]);
          assert.ok(outcome !== undefined);
          removed.push(at(committed(outcome).deletes, 0).versions);
        }
      };
      await Promise.all([write("a"), remove(), write("b")]);
      await assertExplained(store, key, written, removed);
    },
  },
  {
    name: "writes once when one request id is raced by three processes",
    needs: ["shared"],
    async run(context) {
      const { store } = context;
      const key = context.key();
      const workers = await context.workers(3);
      for (let round = 1; round <= 5; round += 1) {
        const task = { key, value: `round ${round}`, request: requestId(), times: 7 };
        const outcomes = await Promise.all(workers.map((worker) => worker.run("putRequest", task)));
        const { puts } = assertWrittenOnce(outcomes.flat());
        assert.equal(at(puts, 0).version, round);
        assert.equal(existing(await readOne(store, key), key).version, round);
      }
    },
  },
  {
    name: "never changes the total of accounts that three processes move units between",
    needs: ["shared", "several-keys"],
    async run(context) {
      const { store } = context;
      const accounts = context.taggedKeys(20);
      await openAccounts(store, accounts);
      const [first, second, third] = await context.workers(3);
      assert.ok(first !== undefined && second !== undefined && third !== undefined);
      const movers = [first, second, third].map((worker, i) =>
        worker.run("transfer", { accounts, moves: 25, seed: i * 31 }),
      );
      const auditors = [first, third].map((worker) => worker.run("audit", { accounts, times: 20 }));
      const [moved, totals] = await Promise.all([Promise.all(movers), Promise.all(auditors)]);
      assert.deepEqual(moved, [25, 25, 25]);
      const expected = accounts.length * OPENING_BALANCE;
      assert.deepEqual(new Set(totals.flat()), new Set([expected]));
      const versions = await Promise.all(
        accounts.map(async (key) => existing(await readOne(store, keyOf(key)), key).version),
      );
      const moves = versions.reduce((sum, version) => sum + version - 1, 0);
      assert.equal(moves, 2 * 75, "each move wrote two accounts");
    },
  },
];

/**
 * Asserts that some order of puts and deletes gives these answers: the puts of each life are 1…n, each
 * delete that found something took one whole life, and what is left is the last life.
 */
async function assertExplained(
  store: Store,
  key: Key,
  written: readonly Written[],
  removed: readonly number[],
): Promise<void> {
  const lives = Map.groupBy(written, ({ incarnation }) => incarnation);
  for (const [incarnation, puts] of lives) {
    const versions = puts.map(({ version }) => version).toSorted((a, b) => a - b);
    assert.deepEqual(
      versions,
      versions.map((_, i) => i + 1),
      `life ${incarnation}`,
    );
  }
  const history = await store.history(key, { order: "oldest-first", after: 0, limit: 5000 });
  const left = history.length === 0 ? [] : [history.length];
  const sizes = [...lives.values()].map((puts) => puts.length).toSorted((a, b) => a - b);
  const ends = [...removed.filter((count) => count > 0), ...left].toSorted((a, b) => a - b);
  assert.deepEqual(ends, sizes, "each life was removed as a whole, or is what is left");
  for (const { incarnation, version } of history) {
    const put = lives.get(incarnation)?.find((one) => one.version === version);
    assert.equal(textOf(await readOne(store, key, { version })), put?.value);
  }
}
