import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  commit,
  keyOf,
  put,
  putMany,
  putOne,
  readEntry,
  unique,
} from "../../src/conformance/build.ts";
import { waitUntil } from "../servers/process.ts";
import { startOwnRedis } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { openRedis, redisCommand } from "./redis-support.ts";
import { PATIENCE_MS } from "./support.ts";

const VERSIONS = 40_000;

if (isSelected("redis")) {
  // Only what a command costs in Redis is counted here, so nothing has to reach a disk.
  const server = await startOwnRedis({ args: ["--appendonly", "no"] });
  after(() => server.stop());
  // A call that is made again for a Redis that was held up would be counted twice.
  const url = `${server.url}?socketTimeout=${PATIENCE_MS}`;

  /** How often Redis ran each command for `work`, scripts' own calls included. */
  const countCommands = async (
    work: () => Promise<unknown>,
  ): Promise<ReadonlyMap<string, { readonly calls: number }>> => {
    await redisCommand(server.url, "CONFIG", "RESETSTAT");
    await work();
    const info = String(await redisCommand(server.url, "INFO", "commandstats"));
    const form = /^cmdstat_([^:]+):calls=(\d+)/gm;
    return new Map(
      [...info.matchAll(form)].map(([, name = "", calls]) => [name, { calls: Number(calls) }]),
    );
  };

  const callsOf = async (name: string, work: () => Promise<unknown>): Promise<number> =>
    (await countCommands(work)).get(name)?.calls ?? 0;

  test("reads and puts cost the same at the last of many versions as at the first", async (t) => {
    const store = await openRedis(t, url);
    const [long, short] = [keyOf(unique()), keyOf(unique())];
    await putMany(store, long, VERSIONS);
    await putOne(store, short, "value");
    for (const work of [
      (key = long) => readEntry(store, key, "latest"),
      (key = long) => readEntry(store, key, { version: 1 }),
      (key = long) => putOne(store, key, "next"),
    ]) {
      const [many, few] = [
        await callsOf("hget", () => work(long)),
        await callsOf("hget", () => work(short)),
      ];
      assert.equal(many, few);
      assert.ok(many <= 2, `${many} calls`);
    }
    const first = (await readEntry(store, long, { version: 1 })).createdAt;
    const asOf = await callsOf("hget", () =>
      store.read([{ key: long, select: { asOf: first }, value: true }]),
    );
    assert.ok(asOf <= Math.log2(VERSIONS) + 4, `as of a time: ${asOf} calls`);
    const page = { order: "newest-first", before: VERSIONS / 2, limit: 20 } as const;
    assert.equal(await callsOf("hget", () => store.history(long, page)), 21);
  });

  test("a page of keys costs the page, wherever it starts among many keys", async (t) => {
    const store = await openRedis(t, `${url}&prefix=many`);
    for (let batch = 0; batch < 40; batch += 1) {
      const puts = Array.from({ length: 100 }, (_, i) => put(keyOf(`${batch}/${i}`), "value"));
      await commit(store, { puts });
    }
    for (const from of ["", "20/", "39/9"]) {
      const calls = await callsOf("hget", () => store.keys({ from, to: undefined, limit: 10 }));
      assert.ok(calls <= 20, `${calls} calls`);
    }
  });

  test("deleting a long history is one step that frees it in the background", async (t) => {
    const store = await openRedis(t, url);
    const key = keyOf(unique());
    await putMany(store, key, VERSIONS);
    const commands = await countCommands(() => commit(store, { deletes: [key] }));
    assert.equal(commands.get("unlink")?.calls, 1);
    assert.equal(commands.get("hdel"), undefined);
    await waitUntil("the versions to be freed in the background", async () => {
      const info = String(await redisCommand(server.url, "INFO", "memory"));
      return Number(/lazyfreed_objects:(\d+)/.exec(info)?.[1]) > 0;
    });
    assert.deepEqual(await store.history(key, { order: "oldest-first", after: 0, limit: 1 }), []);
    assert.equal((await putOne(store, key, "again")).version, 1);
  });

  test("a version of 100 bytes takes less than 300 bytes of memory, with its part in the feed", async (t) => {
    const store = await openRedis(t, `${url}&prefix=memory`);
    const used = async (): Promise<number> => {
      const info = String(await redisCommand(server.url, "INFO", "memory"));
      return Number(/used_memory_dataset:(\d+)/.exec(info)?.[1]);
    };
    const before = await used();
    const value = "x".repeat(100);
    const count = 20_000;
    for (let i = 0; i < count; i += 500) {
      await putMany(store, keyOf(`key ${i}`), 500, value);
    }
    const perVersion = ((await used()) - before) / count;
    assert.ok(perVersion < 300, `${perVersion} bytes`);
    t.diagnostic(`${Math.round(perVersion)} bytes for a version of 105`);
  });
}
