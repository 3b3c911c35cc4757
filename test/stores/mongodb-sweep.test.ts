import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  commit,
  committed,
  deleteOne,
  keyOf,
  putMany,
  putOne,
  readEntry,
  readOne,
  requestId,
  put,
  unique,
} from "../../src/conformance/build.ts";
import type { Store } from "../../src/store.ts";
import { startMongodb, type MongodbServer } from "../servers/mongodb.ts";
import { isSelected } from "../servers/selection.ts";
import { MovableClocks, TestState } from "./mongodb-support.ts";

/** Past the time that a sweep leaves alone what it has claimed. */
const GRACE_MS = 12 * 60_000;

let server: MongodbServer;

async function sweep(store: Store): Promise<void> {
  for (let more = true; more;) more = await store.maintain({ feedRetentionMs: 3_600_000 });
}

/** Claims what can be cleared, lets the grace pass, and clears it. */
async function sweepAway(store: Store, clock: MovableClocks): Promise<void> {
  await sweep(store);
  clock.steadyOffsetMs += GRACE_MS;
  await sweep(store);
}

if (isSelected("mongodb")) {
  before(async () => {
    server = await startMongodb();
  });
  after(() => server.stop());

  test("a sweep leaves no document of a deleted key, but not before the grace", async () => {
    const state = new TestState(server);
    const clock = new MovableClocks();
    const store = await state.open({ clock });
    const key = keyOf(unique());
    for (let i = 0; i < 250; i += 1) await putOne(store, key, `value ${i}`);
    await deleteOne(store, key);
    await sweep(store);
    assert.equal(await state.collection("segments").countDocuments(), 251);
    clock.steadyOffsetMs += GRACE_MS;
    await sweep(store);
    assert.equal(await state.collection("segments").countDocuments(), 0);
    assert.equal((await putOne(store, key, "again")).version, 1);
  });

  test("a key that was deleted several times is cleared in many steps, and never seen", async () => {
    const state = new TestState(server);
    const clock = new MovableClocks();
    const store = await state.open({ clock });
    const keys = Array.from({ length: 3 }, () => keyOf(unique()));
    for (let life = 0; life < 3; life += 1) {
      // One at a time, so that each is a segment of its own.
      for (let i = 0; i < 60; i += 1) {
        await Promise.all(keys.map((key) => putOne(store, key, `life ${life}`)));
      }
      for (const key of keys) await deleteOne(store, key);
    }
    await sweep(store);
    clock.steadyOffsetMs += GRACE_MS;
    let steps = 0;
    for (let more = true; more; steps += 1) {
      more = await store.maintain({ feedRetentionMs: 3_600_000 });
      for (const key of keys) assert.equal(await readOne(store, key), undefined);
    }
    assert.ok(steps > 5, `${steps} steps`);
    assert.equal(await state.collection("segments").countDocuments(), 0);
  });

  test("a sweep by a clock that is set forward clears nothing before its time", async () => {
    const state = new TestState(server);
    const clock = new MovableClocks();
    const store = await state.open({ clock });
    const key = keyOf(unique());
    await putOne(store, key, "value");
    await deleteOne(store, key);
    clock.wallOffsetMs += 2 * 3_600_000;
    await sweep(store);
    await sweep(store);
    assert.equal(await state.collection("segments").countDocuments(), 2);
  });

  test("a writer that finds a claimed tombstone keeps it from being cleared", async () => {
    const state = new TestState(server);
    const clock = new MovableClocks();
    const sweeper = await state.open({ clock });
    const writer = await state.open();
    const key = keyOf(unique());
    await putOne(sweeper, key, "first life");
    await deleteOne(sweeper, key);
    await sweep(sweeper);
    const { incarnation } = await putOne(writer, key, "second life");
    const tombstone = await state.collection("segments").findOne({ c: 0 });
    assert.equal(tombstone?.["t"], 0, "the writer took it back");
    clock.steadyOffsetMs += GRACE_MS;
    await sweep(sweeper);
    const entry = await readEntry(writer, key, "latest");
    assert.deepEqual([entry.version, entry.incarnation], [1, incarnation]);
    await sweepAway(sweeper, clock);
    assert.equal(await state.collection("segments").countDocuments(), 1);
    assert.equal((await putOne(sweeper, key, "second life")).version, 2);
  });

  test("a key that is put again right after it was cleared starts over", async () => {
    const state = new TestState(server);
    const clock = new MovableClocks();
    const store = await state.open({ clock });
    const other = await state.open();
    const key = keyOf(unique());
    await putMany(store, key, 5);
    await deleteOne(store, key);
    await sweepAway(store, clock);
    assert.equal((await putOne(other, key, "one")).version, 1);
    assert.equal((await putOne(store, key, "two")).version, 2);
    assert.equal((await putOne(other, key, "three")).version, 3);
  });

  test("a request id outlives the segment it was committed with", async () => {
    const state = new TestState(server);
    const clock = new MovableClocks();
    const store = await state.open({ clock });
    const key = keyOf(unique());
    const request = requestId();
    const parts = { request, puts: [put(key, "once")] };
    const first = committed(await commit(store, parts));
    const removal = { request: requestId(), deletes: [key] };
    await commit(store, removal);
    await sweepAway(store, clock);
    assert.equal(await state.collection("segments").countDocuments(), 0);
    const again = committed(await commit(await state.open(), parts));
    assert.equal(again.replayed, true);
    assert.deepEqual(again.puts, first.puts);
    const deletedAgain = committed(await commit(store, removal));
    assert.deepEqual([deletedAgain.replayed, deletedAgain.deletes], [true, [{ versions: 1 }]]);
    assert.equal(await readOne(store, key, "latest"), undefined);
  });

  test("a claim of a process that has gone is taken over", async () => {
    const state = new TestState(server);
    const key = keyOf(unique());
    const gone = await state.open();
    await putOne(gone, key, "value");
    await deleteOne(gone, key);
    await sweep(gone);
    await gone.close();
    const clock = new MovableClocks();
    const store = await state.open({ clock });
    await sweepAway(store, clock);
    assert.equal(await state.collection("segments").countDocuments(), 2, "still another's");
    clock.wallOffsetMs += 4 * 3_600_000;
    await sweepAway(store, clock);
    assert.equal(await state.collection("segments").countDocuments(), 0);
  });

  test("a sweep clears what retention emptied, and the first segment with the key", async () => {
    const state = new TestState(server);
    const clock = new MovableClocks();
    const store = await state.open({ clock });
    const key = keyOf(unique());
    const times: number[] = [];
    for (let i = 0; i < 20; i += 1) {
      clock.wallOffsetMs += 1000;
      times.push((await putOne(store, key, `value ${i}`)).createdAt);
    }
    const { incarnation } = await readEntry(store, key, "latest");
    assert.equal(await store.trim(key, incarnation, 16, 100), 15);
    assert.equal(await state.collection("segments").countDocuments(), 20);
    await sweepAway(store, clock);
    assert.equal(await state.collection("segments").countDocuments(), 6, "the first, and 16 to 20");
    assert.equal(await readOne(store, key, { version: 15 }), "trimmed");
    assert.equal((await readEntry(store, key, { version: 16 })).version, 16);
    const asOf = async (version: number) => readOne(store, key, { asOf: times[version - 1] ?? 0 });
    assert.deepEqual(
      [await asOf(1), await asOf(9), await asOf(15)],
      ["trimmed", "trimmed", "trimmed"],
    );
    assert.equal((await readEntry(store, key, { asOf: times[16] ?? 0 })).version, 17);
    const history = await store.history(key, { order: "oldest-first", after: 0, limit: 100 });
    assert.deepEqual(
      history.map((entry) => entry.version),
      [16, 17, 18, 19, 20],
    );
    assert.equal(await deleteOne(store, key), 5);
    await sweepAway(store, clock);
    assert.equal(await state.collection("segments").countDocuments(), 0);
  });

  test("deleted keys leave the index that lists walk along as soon as they are claimed", async () => {
    const state = new TestState(server);
    const store = await state.open();
    const keys = Array.from({ length: 30 }, (_, i) => keyOf(`${i}-${unique()}`));
    for (const key of keys) await putOne(store, key, "value");
    for (const key of keys.slice(1)) await deleteOne(store, key);
    await sweep(store);
    assert.equal(await state.collection("segments").countDocuments({ h: true }), 1);
    const listed = await store.keys({ from: "", to: undefined, limit: 100 });
    assert.deepEqual(
      listed.map(({ key }) => key),
      keys.slice(0, 1),
    );
  });
}
