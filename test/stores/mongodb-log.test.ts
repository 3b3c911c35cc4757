import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MongoClient } from "mongodb";
import { setTimeout as sleep } from "node:timers/promises";
import {
  at,
  commit,
  committed,
  deleteOne,
  keyOf,
  put,
  putIf,
  putMany,
  putOne,
  readEntry,
  readOne,
  requestId,
  textOf,
  transaction,
  unique,
} from "../../src/conformance/build.ts";
import type { Key } from "../../src/key.ts";
import { VALUE_BYTES_CEILING } from "../../src/limits.ts";
import type { Store } from "../../src/store.ts";
import { startMongodb, type MongodbServer } from "../servers/mongodb.ts";
import { waitUntil } from "../servers/process.ts";
import { isSelected } from "../servers/selection.ts";
import { TestState } from "./mongodb-support.ts";

let server: MongodbServer;

interface Status {
  readonly metrics: { readonly commands: { readonly aggregate: { readonly total: unknown } } };
}

/** Two stores over one state, of which the first remembers where a key's log ended. */
async function openPair(key: Key): Promise<readonly [Store, Store, TestState]> {
  const state = new TestState(server);
  const [first, second] = [await state.open(), await state.open()];
  await putOne(first, key, "remembered");
  return [first, second, state];
}

if (isSelected("mongodb-replica-set")) {
  before(async () => {
    server = await startMongodb({ replicaSet: true });
  });
  after(() => server.stop());

  test("a put that aims at a place which is taken gets the next one", async () => {
    const key = keyOf(unique());
    const [first, second] = await openPair(key);
    await putMany(second, key, 7);
    assert.equal((await putOne(first, key, "late")).version, 9);
    assert.equal((await putOne(second, key, "later")).version, 10);
  });

  test("a batch that is larger with its texts than a command may be is written whole", async () => {
    const state = new TestState(server);
    const store = await state.open();
    const texts = { author: "\u4e2d".repeat(256), message: "\u6587".repeat(1024) };
    const keys = Array.from({ length: 512 }, () => keyOf(unique()));
    const value = Buffer.alloc(30_100, "v");
    const outcomes = await store.commit(
      keys.map((key) => transaction({ puts: [put(key, value, texts)], request: requestId() })),
    );
    for (const outcome of outcomes) assert.equal(committed(outcome).puts[0]?.version, 1);
    assert.equal(await state.collection("segments").countDocuments(), 512);
  });

  test("a lost race holds up no neighbour, and the batch keeps its order", async () => {
    const key = keyOf(unique());
    const other = keyOf(unique());
    const [first, second] = await openPair(key);
    await putOne(second, key, "in between");
    const outcomes = await first.commit([
      transaction({ puts: [put(other, "neighbour")] }),
      transaction({ puts: [put(key, "three")] }),
      transaction({ deletes: [key] }),
      transaction({ puts: [put(key, "one again")] }),
      transaction({ puts: [put(key, "two again")] }),
    ]);
    const results = outcomes.map(committed);
    assert.deepEqual(
      results.map(({ puts }) => puts[0]?.version),
      [1, 3, undefined, 1, 2],
    );
    assert.deepEqual(at(results, 2).deletes, [{ versions: 3 }]);
    assert.equal(textOf(await readOne(second, key, "latest")), "two again");
  });

  test("a condition is weighed against what is there, not against memory", async () => {
    const key = keyOf(unique());
    const [first, second] = await openPair(key);
    await putOne(second, key, "two");
    const lost = await putIf(first, { kind: "version", key, version: 1 }, "no");
    assert.equal(lost.outcome, "conflict");
    assert.equal(lost.unmet[0]?.current?.version, 2);
    await putOne(second, key, "three");
    const won = await putIf(first, { kind: "version", key, version: 3 }, "four");
    assert.equal(committed(won).puts[0]?.version, 4);
  });

  test("a delete of a key that memory takes for deleted removes what is there", async () => {
    const key = keyOf(unique());
    const [first, second] = await openPair(key);
    await deleteOne(first, key);
    await putMany(second, key, 3);
    assert.equal(await deleteOne(first, key), 3);
    assert.equal(await deleteOne(first, key), 0);
    assert.equal(await readOne(second, key, "latest"), undefined);
  });

  test("a batch of one key that is larger than a document goes into several", async () => {
    const state = new TestState(server);
    const store = await state.open();
    const key = keyOf(unique());
    const values = Array.from({ length: 12 }, (_, i) => Buffer.alloc(1_000_000, i));
    const outcomes = await store.commit(
      values.map((value) => transaction({ puts: [put(key, value)] })),
    );
    const versions = outcomes.map((outcome) => committed(outcome).puts[0]?.version);
    assert.deepEqual(
      versions,
      values.map((_, i) => i + 1),
    );
    assert.equal(await state.collection("segments").countDocuments(), 12);
    const entry = await readEntry(store, key, { version: 7 });
    assert.ok(values[6]?.equals(entry.value ?? Buffer.alloc(0)));
  });

  test("transactions that each depend on what the other writes never both commit", async () => {
    const state = new TestState(server);
    const stores = [await state.open(), await state.open()] as const;
    let both = 0;
    let any = 0;
    for (let round = 0; round < 30; round += 1) {
      const [a, b] = [keyOf(unique()), keyOf(unique())];
      const outcomes = await Promise.all([
        commit(stores[0], { conditions: [{ kind: "absent", key: a }], puts: [put(b, "b")] }),
        commit(stores[1], { conditions: [{ kind: "absent", key: b }], puts: [put(a, "a")] }),
      ]);
      const count = outcomes.filter(({ outcome }) => outcome === "committed").length;
      assert.deepEqual(
        outcomes.filter(({ outcome }) => outcome === "failed"),
        [],
      );
      if (count > 0) any += 1;
      if (count > 1) both += 1;
    }
    assert.deepEqual([any, both], [30, 0]);
  });

  test("what holds a place during a transaction leaves no trace, nor does it reach the feed", async () => {
    const state = new TestState(server);
    const store = await state.open();
    const [written, read, gone] = [keyOf("written"), keyOf("read"), keyOf("gone")];
    await putOne(store, read, "value");
    const stop = new AbortController();
    const changes: string[] = [];
    const feed = store.changes("now", stop.signal)[Symbol.asyncIterator]();
    await feed.next();
    const outcome = await commit(store, {
      conditions: [{ kind: "present", key: read }],
      puts: [put(written, "value")],
      deletes: [gone],
    });
    assert.deepEqual(committed(outcome).deletes, [{ versions: 0 }]);
    await putOne(store, read, "value 2");
    while (changes.length < 2) {
      const next = await feed.next();
      assert.ok(next.done !== true);
      for (const { key, version } of next.value.changes) changes.push(`${key} ${version}`);
    }
    stop.abort();
    assert.deepEqual(changes, ["written 1", "read 2"]);
    assert.equal(await state.collection("segments").countDocuments(), 3);
  });

  test("a follower is told of the largest value that a server may be set to take", async () => {
    const store = await new TestState(server).open();
    const stop = new AbortController();
    const feed = store.changes("now", stop.signal)[Symbol.asyncIterator]();
    await feed.next();
    const key = keyOf(unique());
    await putOne(store, key, Buffer.alloc(VALUE_BYTES_CEILING, 7));
    const versions: number[] = [];
    // A batch may say no more than how far the feed has come.
    while (versions.length === 0) {
      const next = await feed.next();
      assert.ok(next.done !== true);
      versions.push(...next.value.changes.map(({ version }) => version));
    }
    stop.abort();
    assert.deepEqual(versions, [1]);
  });

  test("a follower of a position far ahead of the log is refused, not left waiting", async () => {
    const store = await new TestState(server).open();
    const stop = new AbortController();
    const now = await store.changes("now", stop.signal)[Symbol.asyncIterator]().next();
    assert.ok(now.done !== true);
    const ahead = now.value.cursor.map((position) => `ffffffff${position.slice(8)}`);
    const feed = store.changes(ahead, stop.signal)[Symbol.asyncIterator]();
    await assert.rejects(feed.next(), { code: "cursor_expired" });
    stop.abort();
  });

  test("reads cost no look at the data while nothing is written, and miss no write", async () => {
    const state = new TestState(server);
    const [reader, writer] = [await state.open(), await state.open()];
    const keys = Array.from({ length: 20 }, () => keyOf(unique()));
    const queries = keys.map((key) => ({ key, select: "latest", value: true }) as const);
    const client = new MongoClient(server.url);
    after(() => client.close());
    const countQueries = async (): Promise<number> => {
      const status = await client.db("admin").command({ serverStatus: 1 });
      return Number((status as Status).metrics.commands.aggregate.total);
    };
    for (let version = 1; version <= 30; version += 1) {
      for (const key of keys) await putOne(writer, key, `value ${version}`);
      const results = await reader.read(queries);
      assert.ok(results.every((result) => textOf(result) === `value ${version}`));
    }
    await waitUntil("reads from memory", async () => {
      const soFar = await countQueries();
      for (let i = 0; i < 100; i += 1) await reader.read(queries);
      return (await countQueries()) === soFar;
    });
    const [result] = await reader.read(queries);
    assert.ok(typeof result === "object" && result.value !== undefined);
    result.value.fill(0);
    assert.equal(textOf(at(await reader.read(queries), 0)), "value 30", "a copy for everyone");
    await deleteOne(writer, at(keys, 0));
    assert.equal((await reader.read(queries))[0], undefined);
  });

  test("a plain put that races a transaction over its key is either before or after it", async () => {
    const state = new TestState(server);
    const [one, two] = [await state.open(), await state.open()];
    for (let round = 0; round < 20; round += 1) {
      const [a, b] = [keyOf(unique()), keyOf(unique())];
      await putOne(one, a, "1");
      const [moved, plain] = await Promise.all([
        commit(one, { reads: [a], puts: [put(b, "copy")] }),
        sleep(round % 5).then(() => putOne(two, a, "2")),
      ]);
      assert.equal(plain.version, 2);
      assert.match(textOf(committed(moved).reads[0]) ?? "", /^[12]$/);
    }
  });
}
