import assert from "node:assert/strict";
import { at, commit, committed, deleteOne, put, putMany, putOne, requestId } from "./build.ts";
import { transaction, unique } from "./build.ts";
import type { StoreCase } from "./context.ts";
import { summariesOf, summary } from "./follower.ts";
import { StateError } from "../errors.ts";
import type { ChangeBatch, Transaction } from "../store.ts";

/** The feed tells of every change once, and of each key's in order. */
export const feedCases: readonly StoreCase[] = [
  {
    name: "says at once where now is, and then tells of each put and delete",
    needs: ["watch"],
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putOne(store, key, "before");
      const follower = await context.follow(store, [key]);
      assert.equal(follower.changes.length, 0, "nothing of what was before");
      assert.equal(follower.cursors.length, 1, "the first batch says that it has caught up");
      const second = await putOne(store, key, "second");
      await follower.untilCount(1);
      await deleteOne(store, key);
      const reborn = await putOne(store, key, "reborn");
      await follower.untilCount(3);
      await follower.stop();
      const [put1, gone, put2] = follower.changes;
      assert.deepEqual([put1?.deleted, gone?.deleted, put2?.deleted], [false, true, false]);
      const { incarnation, createdAt } = second;
      assert.deepEqual([put1?.version, put1?.incarnation, put1?.at], [2, incarnation, createdAt]);
      assert.deepEqual([gone?.version, gone?.incarnation], [2, incarnation]);
      assert.ok((gone?.at ?? 0) >= createdAt, "a delete comes after what it deletes");
      assert.deepEqual([put2?.version, put2?.incarnation], [1, reborn.incarnation]);
    },
  },
  {
    name: "says at once where now is, also while others write",
    needs: ["watch"],
    async run(context) {
      const { store } = context;
      let isOver = false;
      const writers = Array.from({ length: 4 }, async () => {
        for (const key = context.key(); !isOver;) await putOne(store, key, unique());
      });
      const abort = new AbortController();
      try {
        for (let opened = 0; opened < 25; opened += 1) {
          const first = await store.changes("now", abort.signal)[Symbol.asyncIterator]().next();
          const { changes, caughtUp } = first.value as ChangeBatch;
          assert.deepEqual({ changes, caughtUp }, { changes: [], caughtUp: true });
        }
      } finally {
        isOver = true;
        abort.abort();
        await Promise.all(writers);
      }
    },
  },
  {
    name: "tells of every change of a batch once, each key's in order",
    needs: ["watch"],
    async run(context) {
      const { store } = context;
      const keys = Array.from({ length: 12 }, () => context.key());
      const follower = await context.follow(store, keys);
      const round = (): readonly Transaction[] =>
        keys.flatMap((key) => [
          transaction({ puts: [put(key, unique())] }),
          transaction({ puts: [put(key, unique())] }),
          transaction({ deletes: [key] }),
          transaction({ puts: [put(key, unique())] }),
        ]);
      for (const outcome of await store.commit(round())) committed(outcome);
      await follower.untilCount(48);
      for (const outcome of await store.commit(round())) committed(outcome);
      await follower.untilCount(96);
      await follower.stop();
      for (const key of keys) {
        const seen = summariesOf(follower.changes, key);
        assert.deepEqual(seen, ["v1", "v2", "-v2", "v1", "v2", "v3", "-v3", "v1"]);
        const partitions = new Set(
          follower.changes.filter((one) => one.key === key).map((one) => one.partition),
        );
        assert.equal(partitions.size, 1, "a key is always in one partition");
      }
    },
  },
  {
    name: "tells of each key of a transaction",
    needs: ["watch", "several-keys"],
    async run(context) {
      const { store } = context;
      const keys = context.taggedKeys(6);
      for (const key of keys.slice(3)) await putMany(store, key, 2);
      const follower = await context.follow(store, keys);
      const puts = keys.slice(0, 3).map((key) => put(key, "x"));
      committed(await commit(store, { puts, deletes: keys.slice(3) }));
      await follower.untilCount(6);
      await follower.stop();
      for (const [i, key] of keys.entries()) {
        assert.deepEqual(summariesOf(follower.changes, key), [i < 3 ? "v1" : "-v2"]);
      }
    },
  },
  {
    name: "tells nothing of what changed nothing",
    needs: ["watch"],
    async run(context) {
      const { store } = context;
      const [key, none, last] = [context.key(), context.key(), context.key()];
      const request = requestId();
      await putMany(store, key, 5);
      committed(await commit(store, { request, puts: [put(key, "once")] }));
      const follower = await context.follow(store, [key, none, last]);
      const absent = { kind: "absent", key } as const;
      assert.equal(
        (await commit(store, { conditions: [absent], puts: [put(key, "no")] })).outcome,
        "conflict",
      );
      const replay = committed(await commit(store, { request, puts: [put(key, "once")] }));
      assert.equal(replay.replayed, true);
      assert.equal(await deleteOne(store, none), 0);
      const { incarnation } = at(replay.puts, 0);
      assert.equal(await store.trim(key, incarnation, 4, 10), 3);
      committed(await commit(store, { reads: [key] }));
      await putOne(store, last, "the end");
      await putOne(store, key, "and of this key");
      await follower.untilCount(2);
      await follower.stop();
      assert.deepEqual(summariesOf(follower.changes, key), ["v7"]);
      assert.deepEqual(summariesOf(follower.changes, none), []);
      assert.deepEqual(summariesOf(follower.changes, last), ["v1"]);
    },
  },
  {
    name: "tells several followers the same, each at its own pace",
    needs: ["watch"],
    async run(context) {
      const { store } = context;
      const keys = [context.key(), context.key()];
      const followers = await Promise.all([1, 2, 3].map(() => context.follow(store, keys)));
      for (const key of keys) await putMany(store, key, 20);
      for (const follower of followers) {
        await follower.untilCount(40);
        await follower.stop();
        for (const key of keys) {
          const expected = Array.from({ length: 20 }, (_, i) => `v${i + 1}`);
          assert.deepEqual(summariesOf(follower.changes, key), expected);
        }
      }
    },
  },
  {
    name: "ends a feed when its signal aborts, and yields nothing from an aborted one",
    needs: ["watch"],
    async run(context) {
      const { store } = context;
      const key = context.key();
      const follower = await context.follow(store, [key]);
      await putOne(store, key, "seen");
      await follower.untilCount(1);
      const cursor = follower.lastCursor;
      await follower.stop();
      await putOne(store, key, "not seen");
      for (const after of [cursor, "now"] as const) {
        for await (const batch of store.changes(after, AbortSignal.abort())) {
          assert.fail(`a batch of ${batch.changes.length} from an aborted signal`);
        }
      }
      assert.deepEqual(follower.changes.map(summary), ["v1"]);
    },
  },
  {
    name: "tells of what other processes write, each version once and in order",
    needs: ["watch", "shared"],
    async run(context) {
      const { store } = context;
      const keys = [context.key(), context.key(), context.key()];
      const [other, workers] = await Promise.all([context.open(), context.workers(2)]);
      const followers = await Promise.all([
        context.follow(store, keys),
        context.follow(other, keys),
      ]);
      const tasks = workers.map((worker, i) =>
        worker.run("putValues", { keys, writer: `w${i}`, count: 90, atOnce: 6 }),
      );
      await Promise.all(tasks);
      for (const follower of followers) {
        await follower.untilCount(180);
        await follower.stop();
        for (const key of keys) {
          const expected = Array.from({ length: 60 }, (_, i) => `v${i + 1}`);
          assert.deepEqual(summariesOf(follower.changes, key), expected);
        }
      }
    },
  },
  {
    name: "says that it can't be followed where that is so",
    needs: ["no-watch"],
    async run({ store }) {
      const follow = async (): Promise<unknown> => {
        const { signal } = new AbortController();
        return store.changes("now", signal)[Symbol.asyncIterator]().next();
      };
      await assert.rejects(follow, (error) => {
        assert.ok(error instanceof StateError);
        assert.equal(error.code, "watch_unsupported");
        return true;
      });
    },
  },
];
