import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { keyOf, putOne, readOne, textOf, unique } from "../../src/conformance/build.ts";
import type { Key } from "../../src/key.ts";
import type { Store } from "../../src/store.ts";
import { waitUntil } from "../servers/process.ts";
import {
  command,
  MASTER_NAME,
  startOwnRedis,
  startRedisSentinel,
  type RedisSentinel,
} from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { openRedis, redisCommand } from "./redis-support.ts";
import { failsWith, untilDone } from "./support.ts";

interface Pair {
  readonly sentinel: RedisSentinel;
  /** A store that makes no call while the sentinels have another primary take over. */
  readonly idle: Store;
  readonly key: Key;
}

async function openIdle(t: TestContext, downAfterMs?: number): Promise<Pair> {
  const sentinel = await startRedisSentinel(downAfterMs);
  t.after(() => sentinel.stop());
  const idle = await openRedis(t, sentinel.url);
  const key = keyOf(unique());
  await putOne(idle, key, "before");
  return { sentinel, idle, key };
}

async function isPrimary(port: number): Promise<boolean> {
  return (await command(port, "INFO replication")).includes("role:master");
}

if (isSelected("redis")) {
  test("who made no call during a failover does not read from what is a replica since", async (t) => {
    const { sentinel, idle, key } = await openIdle(t);
    const { primary, replica, sentinels } = sentinel;
    await command(sentinels[0]?.port ?? 0, `SENTINEL FAILOVER ${MASTER_NAME}`);
    await waitUntil("a replica in step", async () => {
      const info = await command(primary.port, "INFO replication");
      return info.includes("role:slave") && info.includes("master_link_status:up");
    });
    // From here on it gets no more of what is written.
    await redisCommand(primary.url, "CONFIG", "SET", "masteruser", "nobody", "masterauth", "x");
    await redisCommand(replica.url, "CLIENT", "KILL", "TYPE", "replica");
    const other = await openRedis(t, `${sentinel.url}?replicas=0`);
    await untilDone("a write", () => putOne(other, key, "after"));
    const entry = await untilDone("a read", () => readOne(idle, key));
    assert.equal(textOf(entry), "after");
  });

  test("who made no call during a takeover does not write to a primary that was replaced", async (t) => {
    const { sentinel, idle, key } = await openIdle(t);
    const { primary, replica } = sentinel;
    primary.signal("SIGKILL");
    await waitUntil("a takeover", () => isPrimary(replica.port));
    const other = await openRedis(t, sentinel.url);
    await untilDone("a write", () => putOne(other, key, "at the new one"));
    // It takes itself for a primary until the sentinels tell it otherwise.
    await primary.restart();
    // Longer than a connection waits before it tries again.
    await sleep(500);
    const { version } = await untilDone("a write", () => putOne(idle, key, "after"));
    assert.equal(version, 3);
    assert.equal(textOf(await untilDone("a read", () => readOne(other, key))), "after");
  });

  test("a server that has become a replica is not read any more", async (t) => {
    const [own, other] = [await startOwnRedis(), await startOwnRedis()];
    t.after(() => Promise.all([own.stop(), other.stop()]));
    const store = await openRedis(t, own.url);
    const key = keyOf(unique());
    await putOne(store, key, "value");
    await redisCommand(own.url, "REPLICAOF", "127.0.0.1", String(other.port));
    await assert.rejects(store.ping(), failsWith("store_read_only"));
    await assert.rejects(readOne(store, key), failsWith("store_read_only"));
    await assert.rejects(putOne(store, key, "more"), failsWith("store_read_only"));
    await assert.rejects(openRedis(t, own.url, { connectTimeoutMs: 500 }), (error) => {
      assert.match(String(error), /is a replica, .* Name its primary/);
      return failsWith("store_unavailable")(error);
    });
    await redisCommand(own.url, "REPLICAOF", "NO", "ONE");
    const isBack = async (): Promise<boolean> =>
      Promise.all([store.ping(), putOne(store, key, "more")]).then(
        () => true,
        () => false,
      );
    await waitUntil("service", isBack);
    assert.equal(textOf(await readOne(store, key)), "more");
  });
}
