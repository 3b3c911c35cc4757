import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ObjectId } from "mongodb";
import {
  commit,
  committed,
  deleteOne,
  keyOf,
  put,
  putOne,
  readOne,
  requestId,
  textOf,
  unique,
} from "../../src/conformance/build.ts";
import type { Key } from "../../src/key.ts";
import { startMongodb, type MongodbMember, type MongodbServer } from "../servers/mongodb.ts";
import { isSelected } from "../servers/selection.ts";
import { MovableClocks, TestState } from "./mongodb-support.ts";
import { failsWith } from "./support.ts";

const UNJOURNALED = { writeConcern: { w: 1, j: false } } as const;
const FOR_EVER_MS = 60_000;
const UNAUTHORIZED = 13;

let server: MongodbServer;
let member: MongodbMember;

/** Holds a store's commands to a collection back before they are carried out, until a restart. */
async function hold(
  command: "find" | "update",
  { namespace }: { readonly namespace: string },
  blockTimeMS: number,
): Promise<void> {
  const which = { failCommands: [command], namespace, appName: "versioned-state-server" };
  const data = { ...which, blockConnection: true, blockTimeMS };
  const mode = "alwaysOn";
  const reply = await member.command({ configureFailPoint: "failCommand", mode, data });
  assert.equal(reply?.["ok"], 1);
}

/** Has deletes from a collection refused before they are carried out, all but the first few. */
async function refuseDeletes(
  { namespace }: { readonly namespace: string },
  skip: number,
): Promise<void> {
  const data = { failCommands: ["delete"], namespace, errorCode: UNAUTHORIZED };
  const reply = await member.command({ configureFailPoint: "failCommand", mode: { skip }, data });
  assert.equal(reply?.["ok"], 1);
}

/** Waits until a command is held. */
async function isHeld(): Promise<void> {
  const wait = { waitForFailPoint: "failCommand", timesEntered: 1, maxTimeMS: 9000 };
  assert.equal((await member.command(wait))?.["ok"], 1);
}

async function crash(): Promise<void> {
  await member.kill();
  await member.restart();
}

/** Inserts the next segment of a key, as another process does in the moment before its journal is flushed. */
async function insertUnjournaled(
  segments: ReturnType<TestState["collection"]>,
  key: Key,
): Promise<void> {
  const newest = await segments.findOne({ k: key }, { sort: { s: -1 } });
  assert.ok(newest !== null);
  const { h: _, r: __, ...rest } = newest;
  const [s, v] = [Number(newest["s"]) + 1, Number(newest["v"]) + 1];
  const next = { ...rest, _id: new ObjectId(), s, v };
  await segments.insertOne(next, UNJOURNALED);
}

if (isSelected("mongodb")) {
  before(async () => {
    // Nothing but a command that asks for it is journaled within the time of a test's steps.
    const parameters = ["--setParameter", "enableTestCommands=1"];
    server = await startMongodb({ args: [...parameters, "--journalCommitInterval", "500"] });
    const [first] = server.members;
    assert.ok(first !== undefined);
    member = first;
  });
  after(() => server.stop());

  test("mongodb: what a crash takes back before its journal had it is not shown", async () => {
    const state = new TestState(server);
    const [writer, reader] = [await state.open(), await state.open()];
    const key = keyOf(unique());
    await putOne(writer, key, "kept");
    await hold("update", state.collection("meta"), FOR_EVER_MS);
    await insertUnjournaled(state.collection("segments"), key);
    const shown = readOne(reader, key);
    await isHeld();
    await crash();
    const entry = await shown;
    const kept = await state.collection("segments").countDocuments({ k: key });
    assert.ok(typeof entry === "object");
    assert.equal(entry.version, kept, "the version that is shown is there");
  });

  test("mongodb: no version is built on one that a crash has taken back", async () => {
    const state = new TestState(server);
    const [first, second] = [await state.open(), await state.open()];
    const key = keyOf(unique());
    await putOne(first, key, "kept");
    await hold("update", state.collection("meta"), FOR_EVER_MS);
    await insertUnjournaled(state.collection("segments"), key);
    const outcome = commit(second, { puts: [put(key, "next")] });
    await isHeld();
    await crash();
    const { version } = committed(await outcome).puts[0] ?? { version: 0 };
    const history = await second.history(key, { order: "oldest-first", after: 0, limit: 10 });
    const versions = history.map((entry) => entry.version);
    assert.deepEqual(
      versions,
      versions.map((_, i) => i + 1),
      "no version is missing",
    );
    assert.equal(version, versions.at(-1));
  });

  test("mongodb: a replay of a request is answered once the journal has the request", async () => {
    const state = new TestState(server);
    const [first, second] = [await state.open(), await state.open()];
    const key = keyOf(unique());
    const parts = { puts: [put(key, "value")], request: requestId() };
    await putOne(first, key, "kept");
    await readOne(second, key);
    await commit(first, parts);
    const segments = state.collection("segments");
    const written = await segments.findOneAndDelete({ k: key, v: 2 });
    assert.ok(written !== null);
    // The key is read before the first attempt arrives, and the ids of requests are looked up after it.
    await hold("find", segments, 300);
    const outcome = commit(second, parts);
    await isHeld();
    // Late, as mongod writes its journal on its own soon.
    await sleep(250);
    await segments.insertOne({ ...written, _id: new ObjectId() }, UNJOURNALED);
    assert.equal(committed(await outcome).puts[0]?.version, 2);
    await crash();
    assert.equal(textOf(await readOne(second, key, { version: 2 })), "value");
  });

  test("mongodb: what is written to a cleared key stays, though a crash takes the clearing back", async () => {
    const state = new TestState(server);
    const clock = new MovableClocks();
    const store = await state.open({ clock });
    const segments = state.collection("segments");
    const key = keyOf(unique());
    for (const life of ["first", "second"]) {
      await putOne(store, key, life);
      await deleteOne(store, key);
    }
    const sweep = (): Promise<boolean> => store.maintain({ feedRetentionMs: 3_600_000 });
    while (await sweep());
    clock.steadyOffsetMs += 12 * 60_000;
    // As it is when the last delete is sent, and so as a crash that takes it back leaves it.
    await refuseDeletes(segments, 1);
    await assert.rejects(sweep(), failsWith("store_denied"));
    await member.command({ configureFailPoint: "failCommand", mode: "off" });
    assert.equal(await readOne(store, key), undefined);
    const last = await segments.find({ k: key }).toArray();
    while (await sweep());
    assert.equal(await segments.countDocuments({ k: key }), 0);
    assert.equal((await putOne(store, key, "third")).version, 1);
    const third = await segments.findOne({ k: key });
    assert.deepEqual(
      last.map(({ s }) => Number(s) + 1),
      [third?.["s"]],
      "whoever still sees the tombstone competes for the same place",
    );
    await segments.insertMany(last);
    const reader = await state.open();
    assert.equal(textOf(await readOne(reader, key)), "third");
    assert.equal((await putOne(reader, key, "third")).version, 2);
  });
}
