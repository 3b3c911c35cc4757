import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  commit,
  keyOf,
  put,
  putOne,
  readOne,
  textOf,
  unique,
} from "../../src/conformance/build.ts";
import { startMongodb, type MongodbMember, type MongodbServer } from "../servers/mongodb.ts";
import { isSelected } from "../servers/selection.ts";
import { TestState } from "./mongodb-support.ts";

let server: MongodbServer;

async function failPoint(member: MongodbMember, name: string, settings: object): Promise<void> {
  const reply = await member.command({ configureFailPoint: name, ...settings });
  assert.equal(reply?.["ok"], 1);
}

/**
 * Has two members learn of a write, but not that a majority has it, and then the primary end: the
 * one of them that is elected can't have its first write on a majority until what is answered is called.
 */
async function electUnsure(write: () => Promise<unknown>): Promise<() => Promise<void>> {
  const killed = await server.primary();
  const left = server.members.filter((member) => member !== killed);
  const getMore = { failCommands: ["getMore"], failInternalCommands: true, blockConnection: true };
  // What each of them waits for at the moment still brings the write; nothing comes after it.
  await failPoint(killed, "failCommand", {
    mode: "alwaysOn",
    data: { ...getMore, blockTimeMS: 30_000 },
  });
  await write();
  await Promise.all([
    killed.kill(),
    ...left.map((member) => failPoint(member, "stopReplProducer", { mode: "alwaysOn" })),
  ]);
  return async () => {
    for (const member of left) await failPoint(member, "stopReplProducer", { mode: "off" });
    await killed.restart();
  };
}

if (isSelected("mongodb-replica-set")) {
  before(async () => {
    const args = ["--setParameter", "enableTestCommands=1"];
    server = await startMongodb({ replicaSet: { members: 3, electionTimeoutMs: 1500 }, args });
  });
  after(() => server.stop());

  test("a primary that was just elected shows what the one before had acknowledged", async () => {
    const state = new TestState(server);
    const [writer, reader] = [await state.open(), await state.open()];
    const key = keyOf(unique());
    await putOne(writer, key, "first");
    assert.equal(textOf(await readOne(reader, key)), "first");
    const release = await electUnsure(() => commit(writer, { puts: [put(key, "second")] }));
    const shown = Promise.all([
      readOne(reader, key),
      readOne(reader, key, { version: 2 }),
      reader.history(key, { order: "newest-first", before: undefined, limit: 1 }),
      reader.keys({ from: key, to: undefined, limit: 1 }),
    ]);
    await server.primary();
    const stillWaits = Symbol("still waits");
    assert.equal(await Promise.race([shown, sleep(500, stillWaits)]), stillWaits);
    await release();
    const [latest, second, [newest], [listed]] = await shown;
    assert.deepEqual([textOf(latest), textOf(second)], ["second", "second"]);
    assert.deepEqual([newest?.version, listed?.version], [2, 2]);
  });
}
