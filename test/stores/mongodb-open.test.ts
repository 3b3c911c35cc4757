import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MongoClient } from "mongodb";
import { keyOf, putOne, unique } from "../../src/conformance/build.ts";
import { StateError, type ErrorCode } from "../../src/errors.ts";
import { openStore } from "../../src/stores/index.ts";
import { startMongodb, type MongodbServer } from "../servers/mongodb.ts";
import { freePort } from "../servers/process.ts";
import { isSelected } from "../servers/selection.ts";
import { Stopwatch } from "../servers/stopwatch.ts";
import { optionsWith, TestState } from "./mongodb-support.ts";
import { isBackSoon, outageOf, PATIENCE_MS, RecordedLog, untilDone } from "./support.ts";

const PASSWORD = "s3cret/word";

let server: MongodbServer;
let guarded: MongodbServer;

function urlAs(user: string, password: string): string {
  const credentials = `${user}:${encodeURIComponent(password)}`;
  return guarded.url.replace("mongodb://", `mongodb://${credentials}@`).concat("?authSource=admin");
}

function fails(code: ErrorCode) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof StateError, String(error));
    assert.equal(error.code, code, error.message);
    assert.ok(!error.message.includes("127.0.0.1"), error.message);
    assert.ok(!error.message.includes("s3cret"), error.message);
    return true;
  };
}

if (isSelected("mongodb")) {
  before(async () => {
    server = await startMongodb();
    guarded = await startMongodb({ args: ["--auth"] });
    // Until the first user is there, one that comes from this machine may make it.
    const client = new MongoClient(guarded.url);
    await client.db("admin").command({ createUser: "root", pwd: PASSWORD, roles: ["root"] });
    await client.close();
    const root = new MongoClient(urlAs("root", PASSWORD));
    const roles = [{ role: "readWrite", db: "vss" }];
    await root.db("admin").command({ createUser: "plain", pwd: PASSWORD, roles });
    await root
      .db("admin")
      .command({ createUser: "reader", pwd: PASSWORD, roles: ["readAnyDatabase"] });
    await root.close();
  });
  after(() => Promise.all([server.stop(), guarded.stop()]));

  test("wrong credentials end the opening at once", async () => {
    using watch = new Stopwatch();
    const opening = openStore(urlAs("root", "s3cret-but-wrong"), optionsWith());
    await assert.rejects(opening, fails("store_denied"));
    assert.ok(watch.ms < PATIENCE_MS / 2, "no retries");
  });

  test("a user without the privileges is told so", async () => {
    await assert.rejects(openStore(guarded.url, optionsWith()), fails("store_denied"));
    // A state that others have set up can be opened by a reader, so this is one of its own.
    const url = `${urlAs("reader", PASSWORD)}&prefix=${unique()}`;
    await assert.rejects(openStore(url, optionsWith()), fails("store_denied"));
  });

  test("a user who may not look at the settings works, and they count as unknown", async () => {
    const store = await openStore(urlAs("plain", PASSWORD), optionsWith());
    after(() => store.close());
    assert.equal((await putOne(store, keyOf(unique()), "value")).version, 1);
    const engine = store.info.settings.find(({ name }) => name === "storageEngine");
    assert.equal(engine?.verdict, "unknown");
    assert.match(engine?.advice ?? "", /clusterMonitor/);
  });

  test("a lost privilege is logged with its cause, and nothing is written", async () => {
    const root = new MongoClient(urlAs("root", PASSWORD));
    after(() => root.close());
    const admin = root.db("admin");
    await admin.command({ createUser: "fired", pwd: PASSWORD, roles: ["readWriteAnyDatabase"] });
    const log = new RecordedLog();
    const store = await openStore(
      urlAs("fired", PASSWORD),
      optionsWith({ log, timeoutMs: 10_000 }),
    );
    after(() => store.close());
    const key = keyOf(unique());
    await putOne(store, key, "value");
    await admin.command({ revokeRolesFromUser: "fired", roles: ["readWriteAnyDatabase"] });
    await assert.rejects(putOne(store, key, "value"));
    await assert.rejects(
      store.read([{ key, select: "latest", value: true }]),
      fails("store_denied"),
    );
    const line = log.lines.find(({ level }) => level === "error");
    assert.match(JSON.stringify(line?.fields), /store_denied.*not authorized/i);
  });

  test("a database of a newer server is refused", async () => {
    const state = new TestState(server);
    await (await state.open()).close();
    await state.collection("meta").updateOne({ version: 1 }, { $set: { version: 2 } });
    await assert.rejects(state.open(), fails("store_incompatible"));
  });

  test("a server that is away is tried for the time given, then given up", async () => {
    const url = `mongodb://127.0.0.1:${await freePort()}/vss`;
    using watch = new Stopwatch();
    const opening = openStore(url, optionsWith({ connectTimeoutMs: 1500, timeoutMs: 1000 }));
    await assert.rejects(opening, fails("store_unavailable"));
    assert.ok(watch.wallMs > 1200 && watch.ms < PATIENCE_MS / 2, `after ${watch.wallMs} ms`);
  });

  test("a server that comes up while a store is being opened is used", async () => {
    const own = await startMongodb({ args: ["--quiet"] });
    after(() => own.stop());
    for (const member of own.members) await member.kill();
    const opening = openStore(own.url, optionsWith({ connectTimeoutMs: 120_000 }));
    await own.restart();
    const store = await opening;
    after(() => store.close());
    assert.equal((await putOne(store, keyOf(unique()), "value")).version, 1);
  });

  test("a store serves again soon after its server's return", async () => {
    const own = await startMongodb({ args: ["--quiet"] });
    after(() => own.stop());
    const store = await openStore(own.url, optionsWith({ timeoutMs: 2000 }));
    after(() => store.close());
    const key = keyOf(unique());
    await untilDone("a write", () => putOne(store, key, "one"));
    for (const member of own.members) await member.kill();
    await assert.rejects(putOne(store, key, "two"), (error) => Boolean(outageOf(error)));
    await own.restart();
    await isBackSoon(() => store.ping());
    const { version } = await untilDone("a write", () => putOne(store, key, "three"));
    assert.ok(version >= 2);
  });

  test("states with prefixes of their own share a database and see nothing of each other", async () => {
    const [one, two] = [await new TestState(server).open(), await new TestState(server).open()];
    await putOne(one, keyOf("key"), "value");
    assert.deepEqual(await two.keys({ from: "", to: undefined, limit: 10 }), []);
    assert.equal((await putOne(two, keyOf("key"), "value")).version, 1);
  });

  test("a standalone server is said to be weak, and what it can't do is advised on", async () => {
    const { info } = await new TestState(server).open();
    assert.deepEqual([info.transactions, info.watch], ["one-key", "none"]);
    const topology = info.settings.find(({ name }) => name === "topology");
    assert.equal(topology?.verdict, "weak");
    assert.match(topology?.advice ?? "", /--replSet/);
  });
}
