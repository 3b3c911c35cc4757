import assert from "node:assert/strict";
import { at, committed, existing, hash, put, putOne } from "./build.ts";
import { readEntry, readOne, textOf, transaction } from "./build.ts";
import type { StoreCase } from "./context.ts";

/** Numbering, reading by number, metadata and batches. */
export const versionCases: readonly StoreCase[] = [
  {
    name: "says of itself what its test file declares",
    async run({ store, facts }) {
      const { info } = store;
      assert.equal(info.shared, facts.shared);
      assert.equal(info.transactions, facts.transactions);
      assert.equal(info.watch, facts.watch);
      assert.ok(info.scheme.length > 0 && info.product.length > 0 && info.promise.length > 0);
      assert.ok(info.readLanes >= 1 && info.writeLanes >= 1, "there is a lane at least");
      for (const setting of info.settings) {
        assert.ok(setting.verdict === "ok" || setting.advice, `${setting.name}: what to do`);
      }
      await store.ping();
    },
  },
  {
    name: "numbers the versions of a key 1, 2, 3 and reads each of them back for ever",
    async run(context) {
      const { store } = context;
      const key = context.key();
      for (let version = 1; version <= 12; version += 1) {
        const result = await putOne(store, key, `value ${version}`);
        assert.equal(result.version, version);
        assert.equal(textOf(await readOne(store, key)), `value ${version}`);
      }
      for (const version of [7, 1, 12, 3]) {
        const entry = await readEntry(store, key, { version });
        assert.equal(entry.version, version);
        assert.equal(textOf(entry), `value ${version}`);
      }
    },
  },
  {
    name: "has nothing to read where the key or the version does not exist",
    async run(context) {
      const { store } = context;
      const [key, other] = [context.key(), context.key()];
      assert.equal(await readOne(store, other), undefined);
      assert.equal(await readOne(store, other, { version: 1 }), undefined);
      assert.equal(await readOne(store, other, { asOf: Number.MAX_SAFE_INTEGER }), undefined);
      await putOne(store, key, "the only one");
      assert.equal((await readEntry(store, key, { version: 1 })).version, 1);
      for (const version of [2, 3, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) {
        assert.equal(await readOne(store, key, { version }), undefined, `version ${version}`);
      }
      assert.equal(await readOne(store, other), undefined);
    },
  },
  {
    name: "keeps with each version what was sent with it",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const full = {
        contentType: 'text/css; x="ü"',
        author: "Zoë \u{1f600}",
        message: "It's a\n'test'",
      };
      await putOne(store, key, "a value", full);
      await putOne(store, key, "bare");
      await putOne(store, key, "empty texts", { contentType: "x", author: "", message: "" });
      const first = await readEntry(store, key, { version: 1 });
      assert.deepEqual(pick(first), { ...full, size: 7, digest: hash("a value") });
      const none = { contentType: undefined, author: undefined, message: undefined };
      const second = await readEntry(store, key, { version: 2 });
      assert.deepEqual(pick(second), { ...none, size: 4, digest: hash("bare") });
      const third = await readEntry(store, key);
      assert.equal(third.author ?? "", "");
      assert.equal(third.contentType, "x");
    },
  },
  {
    name: "keeps the longest author, message and content type",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const full = {
        contentType: "c".repeat(256),
        author: "\u{1f600}".repeat(128),
        message: "\u6f22".repeat(1024),
      };
      await putOne(store, key, "v", full);
      const entry = await readEntry(store, key);
      assert.deepEqual(pick(entry), { ...full, size: 1, digest: hash("v") });
    },
  },
  {
    name: "answers a put with what a read then shows, in the incarnation it was given",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const first = transaction({ puts: [put(key, "one")] });
      const created = committed(at(await store.commit([first]), 0));
      assert.equal(created.replayed, false);
      assert.deepEqual([created.deletes, created.reads], [[], []]);
      assert.equal(at(created.puts, 0).incarnation, first.incarnation);
      const second = await putOne(store, key, "two");
      assert.equal(second.incarnation, first.incarnation, "one life, one incarnation");
      for (const result of [at(created.puts, 0), second]) {
        const { version } = result;
        const { incarnation, createdAt } = await readEntry(store, key, { version });
        assert.deepEqual({ incarnation, version, createdAt }, result);
      }
      assert.ok(Number.isSafeInteger(second.createdAt), "whole milliseconds");
    },
  },
  {
    name: "leaves out the value where a query does not ask for it",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const { incarnation } = await putOne(store, key, "a value");
      for (const select of ["latest", { version: 1 }, { asOf: Number.MAX_SAFE_INTEGER }] as const) {
        const results = await store.read([{ key, select, value: false }]);
        const entry = existing(results[0], JSON.stringify(select));
        assert.equal(entry.value, undefined);
        assert.deepEqual([entry.incarnation, entry.version, entry.size], [incarnation, 1, 7]);
      }
    },
  },
  {
    name: "never lets createdAt go back when the clock does",
    async run(context) {
      const { clock, store } = context;
      const key = context.key();
      const hourMs = 3_600_000;
      const times: number[] = [];
      for (const offsetMs of [0, -hourMs, hourMs, -hourMs, 0, 2 * hourMs, -2 * hourMs]) {
        clock.offsetMs = offsetMs;
        times.push((await putOne(store, key, "tick")).createdAt);
      }
      assert.deepEqual(
        times,
        times.toSorted((a, b) => a - b),
      );
      const stored = await store.history(key, { order: "oldest-first", after: 0, limit: 100 });
      assert.deepEqual(
        stored.map((entry) => entry.createdAt),
        times,
      );
    },
  },
];

function pick(entry: {
  readonly contentType: string | undefined;
  readonly author: string | undefined;
  readonly message: string | undefined;
  readonly size: number;
  readonly digest: string;
}): object {
  const { contentType, author, message, size, digest } = entry;
  return { contentType, author, message, size, digest };
}
