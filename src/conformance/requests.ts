import assert from "node:assert/strict";
import { at, commit, committed, deleteOne, put, putOne, readOne, requestId } from "./build.ts";
import { textOf, transaction } from "./build.ts";
import type { StoreCase } from "./context.ts";
import type { Key } from "../key.ts";
import type { Committed, Outcome, RequestId, Store } from "../store.ts";

function putWith(store: Store, request: RequestId, key: Key, value: string): Promise<Outcome> {
  return commit(store, { request, puts: [put(key, value)] });
}

async function versionsOf(store: Store, key: Key): Promise<number> {
  const page = { order: "oldest-first", after: 0, limit: 1000 } as const;
  return (await store.history(key, page)).length;
}

/** Asserts that exactly one outcome wrote and that the others answer the same. */
export function assertWrittenOnce(outcomes: readonly Outcome[]): Committed {
  const all = outcomes.map(committed);
  const written = all.filter(({ replayed }) => !replayed);
  assert.equal(written.length, 1, "written once, replayed otherwise");
  const first = at(written, 0);
  for (const one of all) {
    assert.deepEqual([one.puts, one.deletes], [first.puts, first.deletes], "the same answer");
  }
  return first;
}

/** A request id makes a repeat harmless: the first outcome is answered again. */
export const requestCases: readonly StoreCase[] = [
  {
    name: "answers the first outcome to the same request id, and writes nothing",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const request = requestId();
      const first = committed(await putWith(store, request, key, "once"));
      assert.equal(first.replayed, false);
      await putOne(store, key, "someone else");
      const again = committed(await putWith(store, request, key, "once"));
      assert.equal(again.replayed, true);
      assert.deepEqual(again.puts, first.puts);
      assert.equal(await versionsOf(store, key), 2);
      assert.equal(textOf(await readOne(store, key)), "someone else");
    },
  },
  {
    name: "writes again under another request id, and without one",
    async run(context) {
      const { store } = context;
      const key = context.key();
      for (const request of [requestId("f", "a"), requestId("f"), undefined, undefined]) {
        const outcome = await commit(store, { request, puts: [put(key, "same")] });
        assert.equal(committed(outcome).replayed, false);
      }
      assert.equal(await versionsOf(store, key), 4);
    },
  },
  {
    name: "refuses a request id that was used for something else",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const request = requestId();
      committed(await putWith(store, request, key, "once"));
      const other = { ...request, fingerprint: requestId().fingerprint };
      const refused = await putWith(store, other, key, "something else");
      assert.deepEqual(refused, { outcome: "request-reused" });
      assert.equal(await versionsOf(store, key), 1);
      assert.equal(committed(await putWith(store, request, key, "once")).replayed, true);
    },
  },
  {
    name: "takes one request id several times in one batch as one request",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const request = requestId();
      const other = { ...request, fingerprint: requestId().fingerprint };
      const outcomes = await store.commit([
        transaction({ puts: [put(key, "before")] }),
        transaction({ request, puts: [put(key, "once")] }),
        transaction({ request, puts: [put(key, "once")] }),
        transaction({ request: other, puts: [put(key, "other")] }),
        transaction({ request, puts: [put(key, "once")] }),
      ]);
      assert.deepEqual(at(outcomes, 3), { outcome: "request-reused" });
      const first = assertWrittenOnce([1, 2, 4].map((i) => at(outcomes, i)));
      assert.equal(at(first.puts, 0).version, 2);
      assert.equal(await versionsOf(store, key), 2);
    },
  },
  {
    name: "writes once when one request id is raced twenty times",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const request = requestId();
      const race = Array.from({ length: 20 }, () => putWith(store, request, key, "once"));
      assertWrittenOnce(await Promise.all(race));
      assert.equal(await versionsOf(store, key), 1);
    },
  },
  {
    name: "does not remember a conflict",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const parts = {
        request: requestId(),
        conditions: [{ kind: "present", key } as const],
        puts: [put(key, "second")],
      };
      assert.equal((await commit(store, parts)).outcome, "conflict");
      await putOne(store, key, "first");
      const outcome = committed(await commit(store, parts));
      assert.deepEqual([outcome.replayed, outcome.puts[0]?.version], [false, 2]);
    },
  },
  {
    name: "replays a request whose conditions no longer hold",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const parts = {
        request: requestId(),
        conditions: [{ kind: "absent", key } as const],
        puts: [put(key, "created")],
      };
      const outcomes = [await commit(store, parts), await commit(store, parts)];
      assertWrittenOnce(outcomes);
      assert.equal(await versionsOf(store, key), 1);
    },
  },
  {
    name: "replays a delete without deleting what was put since",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putOne(store, key, "one");
      await putOne(store, key, "two");
      const parts = { request: requestId(), deletes: [key] };
      const first = committed(await commit(store, parts));
      assert.deepEqual([first.replayed, first.deletes], [false, [{ versions: 2 }]]);
      await putOne(store, key, "a new life");
      const again = committed(await commit(store, parts));
      assert.deepEqual([again.replayed, again.deletes], [true, [{ versions: 2 }]]);
      assert.equal(textOf(await readOne(store, key)), "a new life");
    },
  },
  {
    name: "replays a put whose key was deleted since, without putting it again",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const request = requestId();
      const first = committed(await putWith(store, request, key, "once"));
      await deleteOne(store, key);
      const again = committed(await putWith(store, request, key, "once"));
      assert.deepEqual([again.replayed, again.puts], [true, first.puts]);
      assert.equal(await readOne(store, key), undefined);
    },
  },
  {
    name: "makes the reads of a replay anew",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const parts = { request: requestId(), puts: [put(key, "mine")], reads: [key] };
      assert.deepEqual(committed(await commit(store, parts)).reads, [undefined]);
      const again = committed(await commit(store, parts));
      assert.equal(again.replayed, true);
      assert.equal(textOf(again.reads[0]), "mine");
    },
  },
  {
    name: "replays a transaction over several keys",
    needs: ["several-keys"],
    async run(context) {
      const { store } = context;
      const keys = context.taggedKeys(20);
      for (const key of keys.slice(10)) await putOne(store, key, "old");
      const parts = {
        request: requestId(),
        puts: keys.slice(0, 10).map((key) => put(key, "new")),
        deletes: keys.slice(10),
      };
      const first = assertWrittenOnce([
        await commit(store, parts),
        ...(await Promise.all([commit(store, parts), commit(store, parts)])),
      ]);
      assert.deepEqual(
        first.deletes,
        keys.slice(10).map(() => ({ versions: 1 })),
      );
      for (const key of keys.slice(0, 10)) assert.equal(await versionsOf(store, key), 1);
    },
  },
  {
    name: "still knows a request id after housekeeping",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const request = requestId();
      committed(await putWith(store, request, key, "once"));
      for (let step = 0; step < 50; step += 1) {
        if (!(await store.maintain({ feedRetentionMs: 86_400_000 }))) break;
      }
      assert.equal(committed(await putWith(store, request, key, "once")).replayed, true);
      assert.equal(await versionsOf(store, key), 1);
    },
  },
  {
    name: "knows a request id of another instance, also at the same moment",
    needs: ["shared"],
    async run(context) {
      const { store } = context;
      const other = await context.open();
      const key = context.key();
      const request = requestId();
      const first = committed(await putWith(store, request, key, "once"));
      const again = committed(await putWith(other, request, key, "once"));
      assert.deepEqual([again.replayed, again.puts], [true, first.puts]);
      for (let round = 0; round < 5; round += 1) {
        const raced = requestId();
        const race = [store, other, store, other].map((one) => putWith(one, raced, key, "raced"));
        const { puts } = assertWrittenOnce(await Promise.all(race));
        assert.equal(at(puts, 0).version, round + 2);
      }
      assert.equal(await versionsOf(store, key), 6);
    },
  },
];
