import assert from "node:assert/strict";
import { at, commit, committed, existing, hash, put, putMany, putOne } from "./build.ts";
import { readEntry, readOne, textOf, transaction, unique } from "./build.ts";
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
  {
    name: "answers many queries in the order asked, the same one twice too",
    async run(context) {
      const { store } = context;
      const [a, b, none] = [context.key(), context.key(), context.key()];
      await putMany(store, a, 3, "a");
      await putMany(store, b, 2, "b");
      const asked = [
        { key: b, select: "latest", value: true },
        { key: none, select: "latest", value: true },
        { key: a, select: { version: 1 }, value: true },
        { key: a, select: "latest", value: true },
        { key: b, select: { version: 1 }, value: true },
        { key: a, select: { version: 4 }, value: true },
        { key: a, select: "latest", value: false },
        { key: a, select: "latest", value: true },
        { key: a, select: { version: 1 }, value: true },
      ] as const;
      const results = await store.read(asked);
      const texts = results.map((result, i) =>
        asked[i]?.value === false ? existing(result, "a").version : textOf(result),
      );
      assert.deepEqual(texts, ["b-2", undefined, "a-1", "a-3", "b-1", undefined, 3, "a-3", "a-1"]);
      assert.deepEqual(await store.read([]), []);
    },
  },
  {
    name: "reads five hundred entries in one batch, each its own",
    async run(context) {
      const { store } = context;
      const keys = Array.from({ length: 250 }, () => context.key());
      const puts = keys.flatMap((key) => [`first ${key}`, `second ${key}`].map((v) => put(key, v)));
      for (const outcome of await store.commit(puts.map((one) => transaction({ puts: [one] })))) {
        committed(outcome);
      }
      const queries = keys.flatMap((key) => [
        { key, select: "latest", value: true } as const,
        { key, select: { version: 1 }, value: true } as const,
      ]);
      const texts = (await store.read(queries)).map(textOf);
      assert.deepEqual(
        texts,
        keys.flatMap((key) => [`second ${key}`, `first ${key}`]),
      );
    },
  },
  {
    name: "commits many transactions to one key in one batch, in the order given",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const batch = Array.from({ length: 40 }, (_, i) =>
        transaction({ puts: [put(key, `v${i + 1}`)] }),
      );
      const outcomes = (await store.commit(batch)).map(committed);
      assert.deepEqual(
        outcomes.map((outcome) => at(outcome.puts, 0).version),
        batch.map((_, i) => i + 1),
      );
      assert.deepEqual(
        new Set(outcomes.map((outcome) => at(outcome.puts, 0).incarnation)),
        new Set([at(batch, 0).incarnation]),
      );
      for (const version of [1, 2, 39, 40]) {
        assert.equal(textOf(await readOne(store, key, { version })), `v${version}`);
      }
      assert.deepEqual(await store.commit([]), []);
    },
  },
  {
    name: "lets each transaction of a batch see what those before it did",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const at1 = { kind: "version", key, version: 1 } as const;
      const outcomes = await store.commit([
        transaction({ conditions: [{ kind: "absent", key }], puts: [put(key, "one")] }),
        transaction({ conditions: [{ kind: "absent", key }], puts: [put(key, "not")] }),
        transaction({ conditions: [at1], puts: [put(key, "two")] }),
        transaction({ conditions: [at1], puts: [put(key, "not")] }),
        transaction({ deletes: [key] }),
        transaction({ conditions: [{ kind: "absent", key }], puts: [put(key, "new life")] }),
        transaction({ conditions: [at1], reads: [key] }),
      ]);
      assert.deepEqual(
        outcomes.map(({ outcome }) => outcome),
        ["committed", "conflict", "committed", "conflict", "committed", "committed", "committed"],
      );
      assert.deepEqual(committed(at(outcomes, 4)).deletes, [{ versions: 2 }]);
      assert.equal(textOf(committed(at(outcomes, 6)).reads[0]), "new life");
      assert.equal((await readEntry(store, key)).version, 1);
      assert.equal(textOf(await readOne(store, key)), "new life");
    },
  },
  {
    name: "touches no neighbour in a batch with one unmet condition",
    async run(context) {
      const { store } = context;
      const keys = Array.from({ length: 30 }, () => context.key());
      const batch = keys.map((key, i) =>
        transaction({
          conditions: i % 3 === 1 ? [{ kind: "present", key }] : [],
          puts: [put(key, unique())],
        }),
      );
      const outcomes = await store.commit(batch);
      assert.deepEqual(
        outcomes.map(({ outcome }) => outcome),
        keys.map((_, i) => (i % 3 === 1 ? "conflict" : "committed")),
      );
      const results = await store.read(
        keys.map((key) => ({ key, select: "latest", value: false }) as const),
      );
      assert.deepEqual(
        results.map((result) => result !== undefined),
        keys.map((_, i) => i % 3 !== 1),
      );
    },
  },
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
