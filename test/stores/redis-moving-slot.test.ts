import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { createClient } from "redis";
import { keyOf, putOne, readOne, textOf, unique } from "../../src/conformance/build.ts";
import type { Key } from "../../src/key.ts";
import type { Store } from "../../src/store.ts";
import { waitUntil } from "../servers/process.ts";
import { startOwnRedisCluster, type RedisCluster, type RedisServer } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { openRedis } from "./redis-support.ts";
import { PATIENCE_MS, untilDone } from "./support.ts";

type Ask = (...args: readonly string[]) => Promise<unknown>;

async function connectTo(t: TestContext, { port }: RedisServer): Promise<Ask> {
  const client = createClient({ RESP: 2, socket: { host: "127.0.0.1", port } });
  client.on("error", () => {});
  await client.connect();
  t.after(() => client.destroy());
  return async (...args) => client.sendCommand([...args]);
}

/** Brings a key's slot to another node as far as that its data is there, and it still belongs to the first. */
async function moveHalfWay(
  from: Ask,
  to: Ask,
  { slot, port }: { readonly slot: string; readonly port: number },
): Promise<void> {
  await to("CLUSTER", "SETSLOT", slot, "IMPORTING", String(await from("CLUSTER", "MYID")));
  await from("CLUSTER", "SETSLOT", slot, "MIGRATING", String(await to("CLUSTER", "MYID")));
  const names = (await from("CLUSTER", "GETKEYSINSLOT", slot, "100")) as readonly string[];
  await from("MIGRATE", "127.0.0.1", String(port), "", "0", "5000", "KEYS", ...names);
}

/** Takes all slots from a node. */
async function empty(nodes: readonly Ask[], node: Ask, heir: Ask): Promise<void> {
  await node("CONFIG", "SET", "cluster-allow-replica-migration", "no");
  const [own, id] = [await node("CLUSTER", "MYID"), String(await heir("CLUSTER", "MYID"))];
  const slots = (await heir("CLUSTER", "SLOTS")) as readonly [
    number,
    number,
    [string, number, string],
  ][];
  for (const [first, last, [, , owner]] of slots) {
    if (owner !== own) continue;
    for (let slot = first; slot <= last; slot += 1) {
      // Whoever takes it is told first.
      await Promise.all(
        [heir, ...nodes].map((one) => one("CLUSTER", "SETSLOT", `${slot}`, "NODE", id)),
      );
    }
  }
}

async function countConnections(node: Ask): Promise<number> {
  const stats = String(await node("INFO", "stats"));
  return Number(/total_connections_received:(\d+)/.exec(stats)?.[1]);
}

interface HalfMoved {
  readonly cluster: RedisCluster;
  readonly store: Store;
  readonly key: Key;
  /** What has been told of the key. */
  readonly versions: readonly number[];
  readonly target: Ask;
}

/** A store, and a key whose slot is on its way from the first node to the last. */
async function moveKeyHalfWay(t: TestContext, isEmpty: boolean): Promise<HalfMoved> {
  const cluster = await startOwnRedisCluster({ masters: 3 });
  t.after(() => cluster.stop());
  const asks = await Promise.all(cluster.nodes.map((node) => connectTo(t, node)));
  const [source, , target] = asks;
  const node = cluster.nodes[2];
  assert.ok(source !== undefined && target !== undefined && node !== undefined);
  if (isEmpty) await empty(asks, target, source);
  const store = await openRedis(t, cluster.url);
  const { key, name } = await findKey(store, source);
  const versions: number[] = [];
  const changes = store.changes("now", AbortSignal.timeout(PATIENCE_MS));
  const batches = changes[Symbol.asyncIterator]();
  await batches.next();
  void (async () => {
    for (;;) {
      const next = await batches.next();
      if (next.done === true) return;
      versions.push(
        ...next.value.changes.filter((one) => one.key === key).map((one) => one.version),
      );
    }
  })();
  const slot = String(await source("CLUSTER", "KEYSLOT", name));
  await moveHalfWay(source, target, { slot, port: node.port });
  return { cluster, store, key, versions, target };
}

/** A key whose data is on a node, and the name of its hash there. */
async function findKey(
  store: Store,
  node: Ask,
): Promise<{ readonly key: Key; readonly name: string }> {
  for (;;) {
    const key = keyOf(unique());
    await untilDone("a write", () => putOne(store, key, "1"));
    const [name] = (await node("KEYS", `*h:${key}`)) as readonly string[];
    if (name !== undefined) return { key, name };
  }
}

if (isSelected("redis-cluster")) {
  for (const isEmpty of [false, true]) {
    const where = isEmpty ? "a node that serves none yet" : "another node";
    test(`a slot that is on its way to ${where} is served, and its feed goes on`, async (t) => {
      const { cluster, store, key, versions, target } = await moveKeyHalfWay(t, isEmpty);
      const before = await countConnections(target);
      for (let n = 2; n <= 40; n += 1) {
        assert.equal((await untilDone("a write", () => putOne(store, key, `${n}`))).version, n);
      }
      assert.equal(textOf(await readOne(store, key)), "40");
      await waitUntil("the feed", () => versions.at(-1) === 40);
      assert.deepEqual(
        versions.slice(-39),
        Array.from({ length: 39 }, (_, i) => i + 2),
      );
      const fresh = await openRedis(t, cluster.url);
      const follower = fresh.changes("now", AbortSignal.timeout(PATIENCE_MS));
      const started = await follower[Symbol.asyncIterator]().next();
      assert.equal(started.done, false);
      const made = (await countConnections(target)) - before;
      assert.ok(made <= 10, `${made} connections were made to the new node`);
    });
  }
}
