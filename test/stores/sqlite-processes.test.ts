import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { keyOf, putOne, readOne, textOf } from "../../src/conformance/build.ts";
import type { Store } from "../../src/store.ts";
import { waitUntil } from "../servers/process.ts";
import {
  newFile,
  openFile,
  openStore,
  startWriting,
  valueOf,
  type Acknowledged,
} from "./sqlite-support.ts";

const KEYS = 7;

/** Fails unless every acknowledged put is there once, and every history is 1 to n. */
async function assertAllThere(store: Store, all: readonly Acknowledged[]): Promise<number> {
  const acknowledged = new Map<string, string>();
  for (const [key, version, value] of all.flatMap(({ puts }) => puts)) {
    const name = `${key} ${version}`;
    assert.equal(acknowledged.has(name), false, `${name} was given twice`);
    acknowledged.set(name, value);
  }
  let found = 0;
  const values = new Set<string>();
  for (let i = 0; i < KEYS; i += 1) {
    const key = keyOf(`key-${i}`);
    const history = await store.history(key, { order: "oldest-first", after: 0, limit: 1_000_000 });
    for (const [index, { version }] of history.entries()) {
      assert.equal(version, index + 1, `${key} has no gap`);
      const value = textOf(await readOne(store, key, { version })) ?? "";
      assert.equal(values.has(value), false, `${value} stands once`);
      values.add(value);
      const expected = acknowledged.get(`${key} ${version}`);
      if (expected !== undefined) {
        assert.equal(value, expected);
        found += 1;
      }
    }
  }
  assert.equal(found, acknowledged.size, "every acknowledged put is there");
  return values.size;
}

/** How long that part of the batches waited at most. */
function waitOf(all: readonly Acknowledged[], part: number): number {
  const waits = all.map(({ waitedMs }) => waitedMs).toSorted((a, b) => a - b);
  return waits[Math.ceil(part * waits.length) - 1] ?? 0;
}

function report(context: TestContext, name: string, all: readonly Acknowledged[]): void {
  const puts = all.reduce((sum, one) => sum + one.puts.length, 0);
  context.diagnostic(`${name}: ${puts} puts, longest wait ${waitOf(all, 1).toFixed(0)} ms`);
}

test("three processes that write one file lose nothing, and each gets its turn", async (t) => {
  const file = await newFile();
  const writers = await Promise.all(
    ["a", "b", "c"].map((name) => startWriting(file, { name, keys: KEYS })),
  );
  await waitUntil("turns of each", () => writers.every((one) => one.acknowledged.length >= 60));
  for (const writer of writers) writer.stop();
  await Promise.all(writers.map((writer) => writer.ended()));
  for (const [i, { acknowledged }] of writers.entries()) {
    report(t, `process ${i}`, acknowledged);
    // One in ten may have met a busy disk or processor.
    assert.ok(waitOf(acknowledged, 0.9) < 1_000, "none waits a second for the others");
  }
  const all = writers.flatMap(({ acknowledged }) => acknowledged);
  const store = await openStore(file);
  const count = await assertAllThere(store, all);
  assert.equal(count, all.length * 32, "and nothing that nobody has put");
  await store.close();
});

test("a process that is killed while it writes loses nothing that it had answered", async (t) => {
  const file = await newFile();
  const all: Acknowledged[] = [];
  for (const name of ["a", "b", "c"]) {
    const writer = await startWriting(file, { name, keys: KEYS });
    await waitUntil("twenty answers", () => writer.acknowledged.length >= 20);
    writer.child.kill("SIGKILL");
    await writer.ended();
    report(t, `killed process ${name}`, writer.acknowledged);
    all.push(...writer.acknowledged);
  }
  const store = await openStore(file);
  await assertAllThere(store, all);
  const key = keyOf("key-0");
  const latest = (
    await store.history(key, { order: "newest-first", before: undefined, limit: 1 })
  )[0];
  assert.equal((await putOne(store, key, "after")).version, (latest?.version ?? 0) + 1);
  await store.close();
  using db = openFile(file);
  assert.equal(valueOf(db, "PRAGMA integrity_check"), "ok");
  const [changes, versions] = [
    valueOf(db, "SELECT max(seq) = count(*) FROM feed"),
    valueOf(db, "SELECT (SELECT count(*) FROM feed) = (SELECT count(*) FROM versions)"),
  ];
  assert.deepEqual([changes, versions], [1, 1], "the feed is dense, and has each put once");
});
