import assert from "node:assert/strict";
import {
  at,
  commit,
  committed,
  deleteOne,
  existing,
  keyOf,
  put,
  putMany,
  putOne,
} from "./build.ts";
import { readEntry, readOne, requestId, textOf, unique } from "./build.ts";
import type { StoreCase } from "./context.ts";
import type { Key } from "../key.ts";
import { assertGone } from "./deletes.ts";
import { summary } from "./follower.ts";
import { assertDense } from "./races.ts";
import type { Store } from "../store.ts";
import type { Written } from "./tasks.ts";

/** What a store that keeps its data shows when it is opened again. */
export const restartCases: readonly StoreCase[] = [
  {
    name: "shows after a reopen what was there before",
    needs: ["durable"],
    async run(context) {
      const url = await context.newUrl();
      const first = await context.open(url);
      const [kept, gone, trimmed] = [context.key(), context.key(), context.key()];
      await putMany(first, kept, 30);
      await putMany(first, gone, 4);
      await deleteOne(first, gone);
      await putMany(first, trimmed, 6);
      const { incarnation } = await readEntry(first, trimmed);
      assert.equal(await first.trim(trimmed, incarnation, 4, 10), 3);
      const before = await first.history(kept, { order: "oldest-first", after: 0, limit: 100 });
      await first.close();
      const second = await context.open(url);
      const after = await second.history(kept, { order: "oldest-first", after: 0, limit: 100 });
      assert.deepEqual(after, before);
      assert.equal(textOf(await readOne(second, kept, { version: 17 })), "value-17");
      await assertGone(second, gone, 4);
      assert.equal(await readOne(second, trimmed, { version: 2 }), "trimmed");
      assert.equal((await putOne(second, kept, "next")).version, 31);
      assert.equal((await putOne(second, gone, "again")).version, 1);
    },
  },
  {
    name: "knows request ids after a reopen",
    needs: ["durable"],
    async run(context) {
      const url = await context.newUrl();
      const key = context.key();
      const parts = { request: requestId(), puts: [put(key, "once")] };
      const first = await context.open(url);
      const written = committed(await commit(first, parts));
      await first.close();
      const second = await context.open(url);
      const again = committed(await commit(second, parts));
      assert.deepEqual([again.replayed, again.puts], [true, written.puts]);
      assert.equal((await readEntry(second, key)).version, 1);
    },
  },
  {
    name: "resumes a feed after a reopen where it was left",
    needs: ["durable", "watch"],
    async run(context) {
      const url = await context.newUrl();
      const key = context.key();
      const first = await context.open(url);
      const follower = await context.follow(first, [key]);
      await putOne(first, key, "one");
      await follower.untilCount(1);
      const cursor = follower.lastCursor;
      await follower.stop();
      await putOne(first, key, "two");
      await deleteOne(first, key);
      await first.close();
      const second = await context.open(url);
      await putOne(second, key, "reborn");
      const missed = await context.changesSince(second, [key], cursor);
      assert.deepEqual(missed.map(summary), ["v2", "-v2", "v1"]);
    },
  },
  {
    name: "has all that was acknowledged after its process was killed",
    needs: ["durable"],
    async run(context) {
      const url = await context.newUrl();
      const keys = [context.key(), context.key()];
      for (let round = 1; round <= 2; round += 1) {
        const writer = `round ${round} ${unique()}`;
        const worker = at(await context.workersOn(url, 1), 0);
        const acknowledged: Written[] = [];
        const enough = Promise.withResolvers<void>();
        const task = worker.run("putUntilKilled", { keys, writer }, (written) => {
          acknowledged.push(written);
          if (acknowledged.length === 60) enough.resolve();
        });
        const ended = task.then(
          () => "returned",
          () => "killed",
        );
        await Promise.race([enough.promise, task]);
        await worker.kill();
        assert.equal(await ended, "killed");
        const store = await context.open(url);
        for (const { key, version, incarnation, value } of acknowledged) {
          const entry = existing(
            await readOne(store, keyOf(key), { version }),
            `version ${version}`,
          );
          assert.equal(textOf(entry), value);
          assert.equal(entry.incarnation, incarnation);
        }
        for (const key of keys) {
          const count = await countDense(store, key);
          const { version } = await putOne(store, key, "after");
          assert.ok(version > count, `version ${version} comes after ${count}`);
          // What the killed process had sent may have been under way in the back end until just now.
          assert.ok((await countDense(store, key)) >= version);
          assert.equal(textOf(await readOne(store, key, { version })), "after");
        }
        await store.close();
      }
    },
  },
  {
    name: "is set up once when ten processes open it empty at the same moment",
    needs: ["shared"],
    async run(context) {
      const url = await context.newUrl();
      const workers = await context.workersOn(url, 10);
      const keys = [context.key(), context.key(), context.key()];
      const writes = workers.map((worker, i) =>
        worker.run("putValues", { keys, writer: `p${i}`, count: 6, atOnce: 3 }),
      );
      const written = (await Promise.all(writes)).flat();
      assert.equal(written.length, 60);
      const store = await context.open(url);
      for (const key of keys) await assertDense(store, key, written);
      const listed = await store.keys({ from: "", to: undefined, limit: 100 });
      assert.deepEqual(
        listed.map(({ key }) => key),
        keys.toSorted(),
      );
      const read = await at(workers, 0).run("readText", { key: at(keys, 0) });
      assert.equal(read, textOf(await readOne(store, at(keys, 0))));
    },
  },
];

/** Asserts that a key's history has no gap, and answers how many versions it has. */
async function countDense(store: Store, key: Key): Promise<number> {
  const page = { order: "oldest-first", after: 0, limit: 100_000 } as const;
  const versions = (await store.history(key, page)).map(({ version }) => version);
  assert.deepEqual(
    versions,
    versions.map((_, i) => i + 1),
    "without a gap",
  );
  return versions.length;
}
