import assert from "node:assert/strict";
import { at, committed, put, putOne, readOne, transaction } from "./build.ts";
import type { StoreCase } from "./context.ts";
import { StateError } from "../errors.ts";
import type { Store } from "../store.ts";

/** The calls that reject after `close`, each with nothing wrong but that. */
function callsOf(
  store: Store,
  key: Parameters<typeof put>[0],
): Record<string, () => Promise<unknown>> {
  return {
    read: () => store.read([{ key, select: "latest", value: true }]),
    commit: () => store.commit([transaction({ puts: [put(key, "late")] })]),
    history: () => store.history(key, { order: "oldest-first", after: 0, limit: 1 }),
    keys: () => store.keys({ from: "", to: undefined, limit: 1 }),
    changes: async () => {
      const { signal } = new AbortController();
      return store.changes("now", signal)[Symbol.asyncIterator]().next();
    },
    trim: () => store.trim(key, "any", 2, 1),
    maintain: () => store.maintain({ feedRetentionMs: 0 }),
    ping: () => store.ping(),
  };
}

/** A closed store does nothing any more, and says so. */
export const closeCases: readonly StoreCase[] = [
  {
    name: "refuses every call after close with store_unavailable",
    async run(context) {
      const store = await context.openEmpty();
      const key = context.key();
      await putOne(store, key, "early");
      await store.close();
      for (const [name, call] of Object.entries(callsOf(store, key))) {
        if (name === "changes" && context.facts.watch === "none") continue;
        await assert.rejects(
          call,
          (error) => {
            assert.ok(
              error instanceof StateError,
              `${name} rejects with a StateError: ${String(error)}`,
            );
            assert.equal(error.code, "store_unavailable", name);
            assert.equal(error.applied, "no", name);
            return true;
          },
          name,
        );
      }
    },
  },
  {
    name: "can be closed twice, and at once",
    async run(context) {
      const store = await context.openEmpty();
      await store.close();
      await store.close();
      const other = await context.openEmpty();
      await Promise.all([other.close(), other.close()]);
    },
  },
  {
    name: "finishes the calls under way before it closes",
    async run(context) {
      const store = await context.openEmpty();
      const keys = Array.from({ length: 20 }, () => context.key());
      const puts = keys.map((key) => store.commit([transaction({ puts: [put(key, "in time")] })]));
      const reads = keys.map((key) => readOne(store, key));
      const [outcomes] = await Promise.all([Promise.all(puts), Promise.all(reads), store.close()]);
      for (const batch of outcomes) committed(at(batch, 0));
    },
  },
  {
    name: "ends its followers when it is closed",
    needs: ["watch"],
    async run(context) {
      const store = await context.openEmpty();
      const follower = await context.follow(store, []);
      const ended = follower.ended.then(
        () => true,
        (error: unknown) => error instanceof StateError && error.code === "store_unavailable",
      );
      await store.close();
      assert.equal(await ended, true, "it ends, or fails with store_unavailable");
    },
  },
];
