import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  at,
  deleteOne,
  keyOf,
  putMany,
  putOne,
  readEntry,
  readOne,
  textOf,
  unique,
} from "../../src/conformance/build.ts";
import type { Key } from "../../src/key.ts";
import type { ReadResult, Store } from "../../src/store.ts";
import { startMongodb, type MongodbServer } from "../servers/mongodb.ts";
import { isSelected } from "../servers/selection.ts";
import { MovableClocks, TestState } from "./mongodb-support.ts";

/** Past the time that a sweep leaves alone what it has claimed. */
const GRACE_MS = 12 * 60_000;

function readVersions(store: Store, key: Key, last: number): Promise<readonly ReadResult[]> {
  const versions = Array.from({ length: last }, (_, i) => ({ version: i + 1 }));
  return store.read(versions.map((select) => ({ key, select, value: true })));
}

for (const replicaSet of [false, true]) {
  const name = replicaSet ? "mongodb-replica-set" : "mongodb";
  if (!isSelected(name)) continue;
  let server: MongodbServer;
  before(async () => {
    server = await startMongodb({ replicaSet });
  });
  after(() => server.stop());

  /** Two stores over one state, as two processes have them. */
  const openPair = async (): Promise<readonly [Store, Store]> => {
    const state = new TestState(server);
    return [await state.open(), await state.open()];
  };

  test(`${name}: what is remembered of a key is not answered once another store has changed it`, async () => {
    const [reader, writer] = await openPair();
    const key = keyOf(unique());
    assert.equal(await readOne(reader, key), undefined);
    assert.equal(await readOne(reader, key), undefined, "also what is not there is remembered");
    for (let round = 1; round <= 20; round += 1) {
      await putOne(writer, key, `value ${round}`);
      for (let again = 0; again < 3; again += 1) {
        assert.equal(textOf(await readOne(reader, key)), `value ${round}`);
      }
      await putOne(reader, key, `own ${round}`);
      assert.equal(textOf(await readOne(reader, key)), `own ${round}`);
      await deleteOne(writer, key);
      assert.equal(await readOne(reader, key), undefined);
      await putOne(writer, key, "anew");
      const { version, incarnation } = await readEntry(reader, key, "latest");
      assert.equal(version, 1);
      await putOne(writer, key, "second");
      assert.equal((await readEntry(reader, key, "latest")).incarnation, incarnation);
      await deleteOne(reader, key);
      assert.equal(await readOne(writer, key), undefined);
    }
  });

  test(`${name}: older versions that are remembered end with retention and with the key`, async () => {
    const [reader, writer] = await openPair();
    const key = keyOf(unique());
    await putMany(writer, key, 20);
    const asPut = (await readVersions(reader, key, 20)).map(textOf);
    assert.deepEqual((await readVersions(reader, key, 20)).map(textOf), asPut);
    const { incarnation } = await readEntry(reader, key, "latest");
    await writer.trim(key, incarnation, 11, 100);
    const trimmed = await readVersions(reader, key, 20);
    assert.ok(trimmed.slice(0, 10).every((result) => result === "trimmed"));
    assert.deepEqual(trimmed.slice(10).map(textOf), asPut.slice(10));
    await deleteOne(writer, key);
    assert.deepEqual(new Set(await readVersions(reader, key, 20)), new Set([undefined]));
    await putOne(writer, key, "anew");
    assert.equal(textOf(at(await readVersions(reader, key, 20), 0)), "anew");
  });

  test(`${name}: a list that is remembered is not answered once another store has changed it`, async () => {
    const [reader, writer] = await openPair();
    const prefix = `list-${unique()}-`;
    const page = { from: prefix, to: `${prefix}~`, limit: 3 };
    const expected = new Set<Key>();
    for (let round = 0; round < 12; round += 1) {
      const key = keyOf(`${prefix}${9 - (round % 10)}`);
      if (expected.delete(key)) await deleteOne(writer, key);
      else {
        await putOne(writer, key, `round ${round}`);
        expected.add(key);
      }
      for (let again = 0; again < 4; again += 1) {
        const listed = await reader.keys(page);
        const wanted = [...expected].toSorted().slice(0, page.limit);
        assert.deepEqual(
          listed.map((info) => info.key),
          wanted,
        );
        assert.ok(listed.every((info) => !("value" in info)));
      }
    }
  });

  test(`${name}: every version is found, however many stand in a segment with it`, async () => {
    const [reader, writer] = await openPair();
    const [key, other] = [keyOf(unique()), keyOf(unique())];
    const texts: string[] = [];
    const add = async (count: number): Promise<void> => {
      const prefix = `part ${texts.length}`;
      await putMany(writer, key, count, prefix);
      await putMany(writer, other, count, prefix);
      for (let i = 1; i <= count; i += 1) texts.push(`${prefix}-${i}`);
    };
    const check = async (first: number): Promise<void> => {
      for (const value of [true, false]) {
        const queries = [key, other].flatMap((one) =>
          texts.map((_, i) => ({ key: one, select: { version: i + 1 }, value })),
        );
        const results = await reader.read(queries.toReversed());
        results.toReversed().forEach((result, i) => {
          const version = (i % texts.length) + 1;
          if (version < first) return assert.equal(result, "trimmed");
          assert.ok(result !== undefined && result !== "trimmed", `${version}`);
          assert.equal(result.version, version);
          assert.equal(result.size, Buffer.byteLength(at(texts, version - 1)));
          assert.equal(result.value && textOf(result), value ? texts[version - 1] : undefined);
        });
      }
    };
    for (const count of [1, 1, 1, 40, 1, 2, 300, 1, 1, 900, 3]) {
      await add(count);
      await check(1);
    }
    for (const one of [key, other]) {
      const { incarnation } = await readEntry(reader, one, "latest");
      await writer.trim(one, incarnation, 20, 100);
    }
    await check(20);
    await add(5);
    await check(20);
  });

  test(`${name}: one version out of each of several segments is found, until retention removes it`, async () => {
    const state = new TestState(server);
    const writer = await state.open();
    const keys = [keyOf(unique()), keyOf(unique())];
    for (const key of keys) {
      for (const part of [1, 2, 3]) await putMany(writer, key, 40, `part ${part}`);
    }
    const versions = [5, 45, 120];
    const check = async (first: "trimmed" | "part 1-5"): Promise<void> => {
      for (const some of [keys.slice(0, 1), keys]) {
        for (const value of [true, false]) {
          // One that remembers nothing yet.
          const reader = await state.open();
          const queries = some.flatMap((key) =>
            versions.map((version) => ({ key, select: { version }, value })),
          );
          for (let again = 0; again < 2; again += 1) {
            const results = await reader.read(queries);
            const expected = some.flatMap(() => [first, "part 2-5", "part 3-40"]);
            results.forEach((result, i) => {
              if (expected[i] === "trimmed") return assert.equal(result, "trimmed");
              assert.ok(typeof result === "object");
              assert.equal(result.version, versions[i % versions.length]);
              assert.equal(result.value && textOf(result), value ? expected[i] : undefined);
            });
          }
        }
      }
    };
    await check("part 1-5");
    for (const key of keys) {
      const { incarnation } = await readEntry(writer, key, "latest");
      await writer.trim(key, incarnation, 20, 100);
    }
    await check("trimmed");
  });

  test(`${name}: an answer that is larger than a reply of MongoDB comes whole`, async () => {
    const [reader, writer] = await openPair();
    const keys = Array.from({ length: 20 }, () => keyOf(unique()));
    for (const version of [1, 2]) {
      for (const [i, key] of keys.entries()) {
        await putOne(writer, key, Buffer.alloc(2 ** 20, i + version));
      }
    }
    for (const select of ["latest", { version: 1 }] as const) {
      const results = await reader.read(keys.map((key) => ({ key, select, value: true })));
      const filledWith = results.map((result) => {
        assert.ok(result !== undefined && result !== "trimmed");
        assert.equal(result.value?.byteLength, 2 ** 20);
        return result.value?.[0];
      });
      const added = select === "latest" ? 2 : 1;
      assert.deepEqual(
        filledWith,
        keys.map((_, i) => i + added),
      );
    }
  });

  test(`${name}: who gets an entry may write into its bytes`, async () => {
    const [reader, writer] = await openPair();
    const key = keyOf(unique());
    await putMany(writer, key, 2);
    for (const select of ["latest", { version: 1 }] as const) {
      const text = textOf(await readEntry(reader, key, select));
      for (let again = 0; again < 3; again += 1) {
        const entry = await readEntry(reader, key, select);
        assert.equal(textOf(entry), text);
        entry.value?.fill(0);
      }
    }
    const value = Buffer.from("as it was put");
    await putOne(reader, key, value);
    value.fill(0);
    assert.equal(textOf(await readOne(reader, key)), "as it was put");
  });

  test(`${name}: a place in a log that is used again is no longer remembered`, async () => {
    const state = new TestState(server);
    const clock = new MovableClocks();
    const [reader, writer] = [await state.open({ clock }), await state.open({ clock })];
    const key = keyOf(unique());
    await putOne(writer, key, "first life");
    assert.equal(textOf(await readOne(reader, key)), "first life");
    await deleteOne(writer, key);
    for (const passes of [GRACE_MS, 0]) {
      while (await writer.maintain({ feedRetentionMs: 3_600_000 }));
      clock.steadyOffsetMs += passes;
    }
    assert.equal(await state.collection("segments").countDocuments({ k: key }), 0);
    await putOne(writer, key, "second life");
    assert.equal(textOf(await readOne(reader, key)), "second life");
  });
}
