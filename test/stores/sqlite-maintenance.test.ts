import assert from "node:assert/strict";
import { test } from "node:test";
import {
  commit,
  committed,
  deleteOne,
  keyOf,
  putKeys,
  putMany,
  putOne,
  readOne,
  requestId,
  put,
  textOf,
} from "../../src/conformance/build.ts";
import { MovableClock } from "../../src/conformance/context.ts";
import type { ChangeBatch, Cursor, Store } from "../../src/store.ts";
import { Stopwatch } from "../servers/stopwatch.ts";
import { newFile, openFile, openStore, valueOf } from "./sqlite-support.ts";
import { failsWith } from "./support.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** Does all there is to do; answers in how many steps. */
async function maintain(store: Store, feedRetentionMs = DAY_MS): Promise<number> {
  let steps = 1;
  while (await store.maintain({ feedRetentionMs })) steps += 1;
  return steps;
}

async function firstBatch(store: Store, after: Cursor | "now"): Promise<ChangeBatch> {
  const abort = new AbortController();
  for await (const batch of store.changes(after, abort.signal)) {
    abort.abort();
    return batch;
  }
  return assert.fail("the feed ended");
}

test("a deleted history of a million versions is cleared in steps that hold up nobody", async (t) => {
  const file = await newFile();
  let store = await openStore(file);
  const [long, other] = [keyOf("long"), keyOf("other")];
  await putOne(store, long, "first");
  await putOne(store, other, "kept");
  await store.close();
  growHistory(file, 1_000_000);
  store = await openStore(file);
  assert.equal(((await readOne(store, long)) as { version: number }).version, 1_000_000);

  const timed = async <Result>(work: () => Promise<Result>): Promise<[number, Result]> => {
    using watch = new Stopwatch();
    const result = await work();
    return [watch.ms, result];
  };
  const [deleteMs, versions] = await timed(() => deleteOne(store, long));
  assert.equal(versions, 1_000_000);
  assert.ok(countRows(file) > 1_000_000, "they are removed later");
  assert.equal(await readOne(store, long, { version: 500_000 }), undefined, "out of reach at once");
  assert.equal((await putOne(store, long, "new life")).version, 1);

  let isDone = false;
  const clearing = maintain(store).finally(() => (isDone = true));
  const waits = { put: [] as number[], get: [] as number[] };
  while (!isDone) {
    const [putMs] = await timed(() => putOne(store, other, "kept"));
    const [getMs, read] = await timed(() => readOne(store, other));
    assert.equal(textOf(read), "kept");
    waits.put.push(putMs);
    waits.get.push(getMs);
  }
  const steps = await clearing;
  t.diagnostic(
    `delete ${deleteMs.toFixed(0)} ms, ${steps} steps; meanwhile the longest put took ` +
      `${Math.max(...waits.put).toFixed(0)} ms and the longest get ` +
      `${Math.max(...waits.get).toFixed(0)} ms`,
  );
  assert.ok(steps >= 1_000_000 / 1024, "in small steps");
  // One in a hundred may have met a busy disk or processor: that is what the steps are for.
  for (const all of [waits.put, waits.get]) {
    const usual = all.toSorted((a, b) => a - b)[Math.floor(all.length * 0.9)] ?? 0;
    assert.ok(usual < 1_000, `nothing comes to a standstill: ${usual} ms`);
  }
  assert.equal(textOf(await readOne(store, long)), "new life");
  await store.close();
  using db = openFile(file);
  assert.equal(valueOf(db, "SELECT count(*) FROM deleted"), 0);
  assert.equal(
    valueOf(db, "SELECT count(*) = (SELECT sum(version) FROM heads) FROM versions"),
    1,
    "nothing but what exists is kept",
  );
});

function countRows(file: string): number {
  using db = openFile(file);
  return Number(valueOf(db, "SELECT count(*) FROM versions"));
}

/** Makes a history long in seconds, past the store: copies its first version. */
function growHistory(file: string, count: number): void {
  using db = openFile(file);
  db.exec(`PRAGMA synchronous = OFF; BEGIN;
    INSERT INTO versions
      SELECT v.id + n.value + 1000000, head_id, n.value, created_at, size, digest, NULL, NULL, NULL,
        v.value
      FROM versions v, (WITH RECURSIVE c (value) AS
        (SELECT 2 UNION ALL SELECT value + 1 FROM c WHERE value < ${count}) SELECT value FROM c) n
      WHERE v.id = (SELECT latest FROM heads WHERE key = 'long');
    UPDATE heads SET version = ${count}, latest = latest + ${count} + 1000000 WHERE key = 'long';
    INSERT INTO feed SELECT max(id), 'long', 'any', ${count}, 0, 0, NULL FROM versions;
    COMMIT`);
}

test("many deleted keys are cleared, whatever the size of their values", async () => {
  const file = await newFile();
  const store = await openStore(file);
  const keys = Array.from({ length: 300 }, (_, i) => keyOf(`key-${i}`));
  await putKeys(store, keys);
  const large = keyOf("large");
  for (let i = 0; i < 5; i += 1) await putOne(store, large, Buffer.alloc(700_000, i));
  await putMany(store, keyOf("kept"), 3);
  committed(await commit(store, { deletes: keys.slice(0, 100) }));
  committed(await commit(store, { deletes: [...keys.slice(100), large] }));
  const steps = await maintain(store);
  assert.ok(steps > 3, `large values take steps of their own: ${steps}`);
  assert.equal(await maintain(store), 1, "then there is nothing left to do");
  await store.close();
  using db = openFile(file);
  assert.equal(valueOf(db, "SELECT count(*) FROM versions"), 3);
  assert.equal(valueOf(db, "SELECT count(*) FROM deleted"), 0);
});

test("request ids are forgotten after their time, and not before", async () => {
  const file = await newFile();
  const clock = new MovableClock();
  const store = await openStore(file, { clock });
  const key = keyOf("k");
  const request = requestId();
  const write = () => commit(store, { request, puts: [put(key, "v")] });
  assert.equal(committed(await write()).replayed, false);
  clock.offsetMs = DAY_MS - 60_000;
  await maintain(store);
  assert.equal(committed(await write()).replayed, true);
  clock.offsetMs = DAY_MS + 60_000;
  await maintain(store);
  using db = openFile(file);
  assert.equal(valueOf(db, "SELECT count(*) FROM requests"), 0);
  assert.equal(committed(await write()).replayed, false);
  await store.close();
});

test("the feed is trimmed by age, and goes on from the number it had", async () => {
  const file = await newFile();
  const clock = new MovableClock();
  let store = await openStore(file, { clock });
  const key = keyOf("k");
  const start = (await firstBatch(store, "now")).cursor;
  await putMany(store, key, 1200);
  const { cursor } = await firstBatch(store, "now");
  clock.offsetMs = 2 * DAY_MS;
  await putOne(store, key, "recent");
  await maintain(store);
  for (const expired of [start, [""]]) {
    await assert.rejects(firstBatch(store, expired), failsWith("cursor_expired"));
  }
  const kept = await firstBatch(store, cursor);
  assert.deepEqual(
    kept.changes.map(({ version }) => version),
    [1201],
  );

  clock.offsetMs = 4 * DAY_MS;
  await maintain(store);
  await assert.rejects(firstBatch(store, cursor), failsWith("cursor_expired"));
  assert.deepEqual((await firstBatch(store, kept.cursor)).changes, [], "an empty feed");
  await store.close();

  store = await openStore(file, { clock });
  await assert.rejects(firstBatch(store, [""]), failsWith("cursor_expired"));
  await putOne(store, key, "after all was trimmed");
  const next = await firstBatch(store, kept.cursor);
  assert.deepEqual(
    next.changes.map(({ version }) => version),
    [1202],
  );
  await store.close();
  using db = openFile(file);
  assert.equal(valueOf(db, "SELECT max(seq) FROM feed"), 1202);
  assert.ok(Number(valueOf(db, "SELECT count(*) FROM feed")) <= 2, "what was trimmed is gone");
});

test("a cursor that this store never gave has expired", async () => {
  const store = await openStore(await newFile());
  await putOne(store, keyOf("k"), "v");
  for (const strange of ["zzzzzzzzzzz", "0-1", "FFFFFFFFFFF", " "]) {
    await assert.rejects(firstBatch(store, [strange]), failsWith("cursor_expired"), strange);
  }
  await store.close();
});
