import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { at, committed, keyOf, put, transaction, unique } from "../../src/conformance/build.ts";
import type { Key } from "../../src/key.ts";
import type { Store } from "../../src/store.ts";
import { startMongodb, type MongodbServer } from "../servers/mongodb.ts";
import { isSelected } from "../servers/selection.ts";
import { TestState } from "./mongodb-support.ts";

/** What is expected of each key, in key order. */
type Expected = ReadonlyMap<Key, { readonly version: number; readonly message: string }>;

/** Keys of one version, of long histories in segments long and short, deleted ones and new lives. */
async function putMixture(store: Store, prefix: string, shortOnly: boolean): Promise<Expected> {
  const expected = new Map<Key, { version: number; message: string }>();
  const keys = Array.from({ length: 90 }, (_, i) =>
    keyOf(`${prefix}${String(i).padStart(3, "0")}`),
  );
  const putAll = async (some: readonly Key[], message: string): Promise<void> => {
    const writes = some.map((key) => transaction({ puts: [{ ...put(key, "value"), message }] }));
    const outcomes = await store.commit(writes);
    outcomes.forEach((outcome, i) => {
      const { version } = at(committed(outcome).puts, 0);
      expected.set(at(some, i), { version, message });
    });
  };
  await putAll(keys, "first");
  if (shortOnly) return expected;
  const every = (n: number, rest: number): Key[] => keys.filter((_, i) => i % n === rest);
  for (let round = 0; round < 15; round += 1) await putAll(every(10, 3), `alone ${round}`);
  await putAll(
    every(9, 4).flatMap((key) => Array.from({ length: 40 }, () => key)),
    "together",
  );
  const deleted = every(5, 0);
  await store.commit(deleted.map((key) => transaction({ deletes: [key] })));
  for (const key of deleted) expected.delete(key);
  await putAll(
    deleted.filter((_, i) => i % 2 === 0),
    "second life",
  );
  return new Map([...expected].toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

for (const replicaSet of [false, true]) {
  const name = replicaSet ? "mongodb-replica-set" : "mongodb";
  if (!isSelected(name)) continue;
  let server: MongodbServer;
  before(async () => {
    server = await startMongodb({ replicaSet });
  });
  after(() => server.stop());

  test(`${name}: pages of any size hold every key once, whatever its history`, async () => {
    const state = new TestState(server);
    const [reader, writer] = [await state.open(), await state.open()];
    const prefix = unique();
    const expected = await putMixture(writer, prefix, false);
    // As many parts of a list as make a reader go back and forth between its two ways to read one.
    for (const limit of [1, 2, 7, 30, 89, 200, 5, 1, 12]) {
      const listed: (readonly [Key, number, string | undefined])[] = [];
      for (let from: string = prefix; ;) {
        const page = await reader.keys({ from, to: `${prefix}~`, limit });
        listed.push(...page.map((info) => [info.key, info.version, info.message] as const));
        assert.ok(page.length <= limit);
        const last = page.at(-1);
        if (page.length < limit || last === undefined) break;
        from = `${last.key}\u0001`;
      }
      const wanted = [...expected].map(([key, { version, message }]) => [key, version, message]);
      assert.deepEqual(listed, wanted, `pages of ${limit}`);
    }
  });

  test(`${name}: a list that a reply of MongoDB cannot hold comes whole`, async () => {
    const store = await new TestState(server).open();
    const prefix = unique();
    const keys = Array.from({ length: 8 }, (_, i) => keyOf(`${prefix}${i}`));
    const message = "\u4e16".repeat(1024);
    for (const key of keys) {
      const puts = Array.from({ length: 800 }, () => ({ ...put(key, "value"), message }));
      for (let first = 0; first < puts.length; first += 400) {
        await store.commit(
          puts.slice(first, first + 400).map((one) => transaction({ puts: [one] })),
        );
      }
    }
    const listed = await store.keys({ from: prefix, to: `${prefix}~`, limit: 8 });
    assert.deepEqual(
      listed.map(({ key, version }) => [key, version]),
      keys.map((key) => [key, 800]),
    );
  });

  test(`${name}: a page of keys with short histories is one find`, async () => {
    const state = new TestState(server);
    const [reader, writer] = [await state.open(), await state.open()];
    const prefix = unique();
    await putMixture(writer, prefix, true);
    const commands = await state.profile(async () => {
      const page = await reader.keys({ from: prefix, to: `${prefix}~`, limit: 50 });
      assert.equal(page.length, 50);
    });
    // A standalone server is written to, so that what is shown is in its journal.
    const asked = commands.filter(({ op }) => op !== "update").map(({ op, ns }) => `${op} ${ns}`);
    const segments = `query ${state.collection("segments").namespace}`;
    const meta = `query ${state.collection("meta").namespace}`;
    // A replica set is asked for its newest write first, and once more whether readers see that.
    assert.deepEqual(asked, replicaSet ? [meta, segments] : [segments]);
  });
}
