import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { keyOf, putOne, readOne, textOf, unique } from "../../src/conformance/build.ts";
import { startMongodb, type MongodbServer } from "../servers/mongodb.ts";
import { isSelected } from "../servers/selection.ts";
import { failsWith } from "./support.ts";
import { TestState } from "./mongodb-support.ts";

const CURSOR_NOT_FOUND = 43;
const MAX_TIME_MS_EXPIRED = 50;
const INTERRUPTED = 11_601;

let server: MongodbServer;

/** Lets the server answer a command of the store with an error that it gives in rare moments alone. */
async function failNext(command: string, errorCode: number, times: number): Promise<void> {
  const data = { failCommands: [command], errorCode, appName: "versioned-state-server" };
  const [member] = server.members;
  const reply = await member?.command({ configureFailPoint: "failCommand", mode: { times }, data });
  assert.equal(reply?.["ok"], 1);
}

if (isSelected("mongodb-replica-set")) {
  before(async () => {
    const args = ["--setParameter", "enableTestCommands=1"];
    server = await startMongodb({ replicaSet: true, args });
  });
  afterEach(() => server.members[0]?.command({ configureFailPoint: "failCommand", mode: "off" }));
  after(() => server.stop());

  test("an answer in parts is asked for again where another member has come to answer", async () => {
    const state = new TestState(server);
    const store = await state.open();
    const keys = Array.from({ length: 20 }, () => keyOf(unique()));
    for (const [i, key] of keys.entries()) await putOne(store, key, Buffer.alloc(2 ** 20, i));
    const reader = await state.open();
    await failNext("getMore", CURSOR_NOT_FOUND, 1);
    const results = await reader.read(keys.map((key) => ({ key, select: "latest", value: true })));
    const firstBytes = results.map((result) => {
      assert.ok(typeof result === "object");
      return result.value?.[0];
    });
    assert.deepEqual(
      firstBytes,
      keys.map((_, i) => i),
    );
  });

  test("a server whose time for a command was over is asked again, and counts as away in the end", async () => {
    const state = new TestState(server);
    const store = await state.open();
    const key = keyOf(unique());
    await putOne(store, key, "value");
    await failNext("find", MAX_TIME_MS_EXPIRED, 1);
    assert.equal(textOf(await readOne(store, key)), "value");
    const hasty = await state.open({ timeoutMs: 1000 });
    await failNext("find", MAX_TIME_MS_EXPIRED, 1000);
    await assert.rejects(readOne(hasty, key), failsWith("store_unavailable"));
  });

  test("an insert that an administrator ends is sent again, as part of it may be in place", async () => {
    const state = new TestState(server);
    const store = await state.open();
    const key = keyOf(unique());
    await failNext("insert", INTERRUPTED, 1);
    assert.equal((await putOne(store, key, "value")).version, 1);
    const hasty = await state.open({ timeoutMs: 1000 });
    await failNext("insert", INTERRUPTED, 1000);
    await assert.rejects(putOne(hasty, key, "next"), failsWith("outcome_unknown", "unknown"));
  });
}
