import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { at, deleteOne, putMany, putOne } from "./build.ts";
import { MovableClock, type StoreCase, type StoreContext } from "./context.ts";
import { maintainAll } from "./deletes.ts";
import { summariesOf, summary, type Follower } from "./follower.ts";
import { StateError } from "../errors.ts";
import type { Key } from "../key.ts";
import type { Cursor, Store } from "../store.ts";

/** The code with which following from a cursor fails; undefined where it does not. */
async function failureAt(store: Store, cursor: Cursor): Promise<string | undefined> {
  const abort = new AbortController();
  const iterator = store.changes(cursor, abort.signal)[Symbol.asyncIterator]();
  try {
    await iterator.next();
    return undefined;
  } catch (error) {
    assert.ok(error instanceof StateError, `expected a StateError, not ${String(error)}`);
    return error.code;
  } finally {
    abort.abort();
    await iterator.return?.();
  }
}

/** Writes a little history, each change awaited, so that there is a cursor after each of them. */
async function followEach(
  context: StoreContext,
  store: Store,
  keys: readonly [Key, Key],
): Promise<Follower> {
  const [a, b] = keys;
  const follower = await context.follow(store, keys);
  const steps = [
    () => putOne(store, a, "a1"),
    () => putOne(store, b, "b1"),
    () => putOne(store, a, "a2"),
    () => deleteOne(store, a),
    () => putOne(store, b, "b2"),
    () => putOne(store, a, "a1 again"),
    () => deleteOne(store, b),
  ];
  for (const [i, step] of steps.entries()) {
    await step();
    await follower.untilCount(i + 1);
  }
  return follower;
}

/** A cursor brings a follower back to where it was, on any instance. */
export const feedResumeCases: readonly StoreCase[] = [
  {
    name: "resumes from every cursor with exactly the rest",
    needs: ["watch"],
    async run(context) {
      const { store } = context;
      const keys = [context.key(), context.key()] as const;
      const follower = await followEach(context, store, keys);
      await follower.stop();
      assert.deepEqual(summariesOf(follower.changes, keys[0]), ["v1", "v2", "-v2", "v1"]);
      assert.deepEqual(summariesOf(follower.changes, keys[1]), ["v1", "v2", "-v2"]);
      for (const { cursor, seen } of follower.cursors) {
        const rest = await context.changesSince(store, keys, cursor);
        for (const key of keys) {
          const expected = follower.changes.slice(seen).filter((change) => change.key === key);
          assert.deepEqual(
            rest.filter((change) => change.key === key),
            expected,
          );
        }
      }
    },
  },
  {
    name: "resumes on another instance with what was missed, then goes on",
    needs: ["watch", "shared"],
    async run(context) {
      const { store } = context;
      const keys = [context.key(), context.key()] as const;
      const follower = await followEach(context, store, keys);
      const cursor = follower.lastCursor;
      await follower.stop();
      await putMany(store, keys[0], 30);
      const other = await context.open();
      const resumed = await context.follow(other, keys, cursor);
      await resumed.untilCount(30);
      await putOne(store, keys[1], "live");
      await resumed.untilCount(31);
      await resumed.stop();
      const expected = Array.from({ length: 30 }, (_, i) => `v${i + 2}`);
      assert.deepEqual(summariesOf(resumed.changes, keys[0]), expected);
      assert.deepEqual(summariesOf(resumed.changes, keys[1]), ["v1"]);
    },
  },
  {
    name: "hands out 3,000 missed changes without missing or repeating one",
    needs: ["watch"],
    async run(context) {
      const { store } = context;
      const keys = [context.key(), context.key(), context.key()];
      const follower = await context.follow(store, keys);
      const cursor = follower.lastCursor;
      await follower.stop();
      for (const key of keys) await putMany(store, key, 1000);
      const missed = await context.changesSince(store, keys, cursor);
      const expected = Array.from({ length: 1000 }, (_, i) => `v${i + 1}`);
      for (const key of keys) assert.deepEqual(summariesOf(missed, key), expected);
    },
  },
  {
    name: "follows a store from its very beginning",
    needs: ["watch"],
    async run(context) {
      const store = await context.openEmpty();
      const keys = [context.key(), context.key()] as const;
      const follower = await followEach(context, store, keys);
      await follower.stop();
      const beginning = follower.lastCursor.map(() => "");
      const all = await context.changesSince(store, keys, beginning);
      for (const key of keys) {
        assert.deepEqual(summariesOf(all, key), summariesOf(follower.changes, key));
      }
    },
  },
  {
    name: "keeps the feed through housekeeping for as long as it is told to",
    needs: ["watch"],
    async run(context) {
      const store = await context.openEmpty();
      const key = context.key();
      const follower = await context.follow(store, [key]);
      const cursor = follower.lastCursor;
      await follower.stop();
      await putMany(store, key, 10);
      await deleteOne(store, key);
      await maintainAll(store, 3_600_000);
      const kept = (await context.changesSince(store, [key], cursor)).map(summary);
      assert.deepEqual(kept, [...Array.from({ length: 10 }, (_, i) => `v${i + 1}`), "-v10"]);
    },
  },
  {
    name: "refuses a cursor that the feed no longer reaches with cursor_expired",
    needs: ["watch"],
    async run(context) {
      const clock = new MovableClock();
      const store = await context.openEmpty(clock);
      const key = context.key();
      const follower = await context.follow(store, [key]);
      const cursor = follower.lastCursor;
      await follower.stop();
      await putMany(store, key, 300);
      assert.equal(await failureAt(store, cursor), undefined);
      clock.offsetMs = 60_000;
      const attempts = 100;
      for (let attempt = 0; attempt < attempts; attempt += 1) {
        await maintainAll(store, 0);
        const code = await failureAt(store, cursor);
        if (code === "cursor_expired") return await followOn(context, store, key);
        assert.equal(code, undefined);
        await delay(20);
        await putOne(store, key, "newer");
      }
      assert.fail(`still not expired after ${attempts} rounds of housekeeping`);
    },
  },
  {
    name: "refuses a cursor of another store's feed, or tells all that comes after it",
    needs: ["watch"],
    async run(context) {
      const [longer, shorter] = [await context.openEmpty(), await context.openEmpty()];
      const key = context.key();
      await putMany(longer, key, 300);
      const follower = await context.follow(longer, []);
      const { lastCursor } = follower;
      await follower.stop();
      await putMany(shorter, key, 5);
      const code = await failureAt(shorter, lastCursor);
      if (code !== undefined) return assert.equal(code, "cursor_expired");
      const resumed = await context.follow(shorter, [key], lastCursor);
      await resumed.until("the present", () => resumed.caughtUpBatches > 0);
      const { version } = await putOne(shorter, key, "after the cursor");
      await resumed.until("what came", () => resumed.changes.at(-1)?.version === version);
      await resumed.stop();
    },
  },
];

/** A feed that was shortened is followed from now on as ever. */
async function followOn(context: StoreContext, store: Store, key: Key): Promise<void> {
  const follower = await context.follow(store, [key]);
  const { version } = await putOne(store, key, "after housekeeping");
  await follower.untilCount(1);
  await follower.stop();
  assert.equal(at(follower.changes, 0).version, version);
}
