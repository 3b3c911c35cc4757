import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import {
  commit,
  keyOf,
  put,
  putMany,
  putOne,
  readEntry,
  textOf,
  transaction,
  unique,
} from "../../src/conformance/build.ts";
import { StateError } from "../../src/errors.ts";
import type { Key } from "../../src/key.ts";
import type { Change, Store } from "../../src/store.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { waitUntil } from "../servers/process.ts";
import {
  command,
  startOwnRedisCluster,
  startRedisSentinel,
  type RedisCluster,
  type RedisSentinel,
  type RedisServer,
} from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { openPatiently, openRedis, upTo, versionsOf } from "./redis-support.ts";
import { failsWith, PATIENCE_MS, untilDone } from "./support.ts";

/** Keys of many partitions of a cluster. */
function manyKeys(count: number): readonly Key[] {
  return Array.from({ length: count }, () => keyOf(unique()));
}

/** Puts to all keys over and over, and keeps what was acknowledged. */
class Load {
  readonly acknowledged: { readonly key: Key; readonly version: number; readonly value: string }[] =
    [];
  readonly failures = new Map<string, number>();
  readonly failedKeys = new Set<Key>();
  #isOver = false;
  readonly #writers: Promise<unknown>;

  constructor(store: Store, keys: readonly Key[]) {
    this.#writers = Promise.all(keys.map((key) => this.#write(store, key)));
  }

  async #write(store: Store, key: Key): Promise<void> {
    while (!this.#isOver) {
      const value = unique();
      try {
        const { version } = await putOne(store, key, value);
        this.acknowledged.push({ key, version, value });
      } catch (error) {
        const code = error instanceof StateError ? error.code : String(error);
        this.failures.set(code, (this.failures.get(code) ?? 0) + 1);
        this.failedKeys.add(key);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  /** Waits until each of the keys has been written again. */
  async reachesAll(keys: readonly Key[]): Promise<void> {
    const from = this.acknowledged.length;
    await waitUntil(
      "a write to every key",
      () => new Set(this.acknowledged.slice(from).map(({ key }) => key)).size === keys.length,
    );
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#writers;
  }
}

/** Follows the feed from now on, and checks that no key's version is missing or comes twice. */
class Follower {
  readonly #last = new Map<Key, number>();
  readonly #told: Change[] = [];
  readonly #stop = new AbortController();
  readonly #following: Promise<void>;
  #failure: Error | undefined;

  constructor(store: Store) {
    this.#following = this.#follow(store).catch((error: Error) => void (this.#failure = error));
  }

  async #follow(store: Store): Promise<void> {
    for await (const { changes } of store.changes("now", this.#stop.signal)) {
      for (const change of changes) {
        const { key, version } = change;
        const before = this.#last.get(key);
        if (before !== undefined) assert.equal(version, before + 1, `of ${key}`);
        this.#last.set(key, version);
        this.#told.push(change);
      }
    }
  }

  async #waitUntil(what: string, check: () => boolean): Promise<void> {
    await waitUntil(what, () => {
      if (this.#failure !== undefined) throw this.#failure;
      return check();
    });
  }

  /** Waits until it has seen whatever was acknowledged last, but for some keys. */
  async reaches({ acknowledged }: Load, except: ReadonlySet<Key> = new Set()): Promise<void> {
    await this.#waitUntil("the feed", () =>
      acknowledged.every(
        ({ key, version }) => except.has(key) || (this.#last.get(key) ?? Infinity) >= version,
      ),
    );
  }

  /**
   * As {@link reaches}, after a failover. A primary may show a change to its readers just before it dies
   * and before its replica has got it; then, and only then, may the follower be told that it can't go on.
   */
  async reachesOrWasMisled(load: Load, store: Store): Promise<void> {
    try {
      await this.reaches(load);
    } catch (error) {
      assert.ok(failsWith("cursor_expired")(error));
      this.#failure = undefined;
      const feed = new Set<string>();
      for await (const { changes, caughtUp } of store.changes([], this.#stop.signal)) {
        for (const change of changes) feed.add(JSON.stringify(change));
        if (caughtUp) break;
      }
      const undone = this.#told.filter((change) => !feed.has(JSON.stringify(change)));
      assert.notEqual(undone.length, 0, "all that was told is in the feed, so that it could go on");
    }
  }

  async hasHeardOf(keys: readonly Key[]): Promise<void> {
    await this.#waitUntil("a change of every key", () => keys.every((key) => this.#last.has(key)));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#following;
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** Versions 1 to n of each key, every value once; answers how many acknowledged ones are missing. */
async function countLost(store: Store, load: Load): Promise<number> {
  let lost = 0;
  for (const key of new Set(load.acknowledged.map((one) => one.key))) {
    const versions = await untilDone("a history", () => versionsOf(store, key));
    assert.deepEqual(versions, upTo(versions.length), "no gap, no repeat");
    const found = await untilDone("its values", () =>
      store.read(versions.map((version) => ({ key, select: { version }, value: true }))),
    );
    const values = found.map(textOf);
    assert.equal(new Set(values).size, values.length, "no value twice");
    for (const one of load.acknowledged) {
      if (one.key === key && values[one.version - 1] !== one.value) lost += 1;
    }
  }
  return lost;
}

async function untilPut(store: Store, key: Key): Promise<void> {
  await waitUntil("a write", () =>
    putOne(store, key, "last").then(
      () => true,
      () => false,
    ),
  );
}

if (isSelected("redis-cluster")) {
  test("keys of several partitions are refused together, and those of one tag are not", async (t) => {
    const cluster = await startOwnRedisCluster({ masters: 3 });
    t.after(() => cluster.stop());
    const store = await openPatiently(t, cluster.url);
    assert.match(store.info.product, /Cluster \(3 primaries\)$/);
    const keys = manyKeys(10);
    const puts = keys.map((key) => put(key, "value"));
    const tagged = upTo(10).map((i) => put(keyOf(`{${keys[0]}}:${i}`), "value"));
    const [apart, together, alone] = await store.commit([
      transaction({ puts }),
      transaction({ puts: tagged }),
      transaction({ puts: puts.slice(0, 1) }),
    ]);
    assert.equal(apart?.outcome, "unsupported");
    assert.equal(together?.outcome, "committed");
    assert.equal(alone?.outcome, "committed");
    const listed = await store.keys({ from: "", to: undefined, limit: 100 });
    assert.deepEqual(
      listed.map(({ key }) => key),
      [...tagged.map(({ key }) => key), keys[0] as Key].sort(),
    );
  });

  test("a slot that moves to another node under load loses and repeats nothing", async (t) => {
    const cluster = await startOwnRedisCluster({ masters: 3 });
    t.after(() => cluster.stop());
    // No node goes away here, so none is taken for dead where the machine is busy.
    const store = await openRedis(t, `${cluster.url}?socketTimeout=${PATIENCE_MS}`);
    const keys = manyKeys(100);
    const load = new Load(store, keys);
    t.after(() => load.stop());
    await load.reachesAll(keys);
    await reshard(
      cluster.nodes.map(({ port }) => port),
      2000,
    );
    await load.reachesAll(keys);
    await load.stop();
    assert.equal(await countLost(store, load), 0);
    // Where the machine is busy, a key may be between two nodes for longer than a call is repeated.
    const codes = [...load.failures.keys()].filter((code) => code !== "store_unavailable");
    assert.deepEqual(codes, []);
  });

  test("followers are told of every change on other nodes while one is away", async (t) => {
    const cluster = await startOwnRedisCluster({ masters: 3 });
    t.after(() => cluster.stop());
    // Without it, a cluster that lacks slots refuses all others too.
    for (const { port } of cluster.nodes) {
      await command(port, "CONFIG SET cluster-require-full-coverage no");
    }
    const store = await openRedis(t, cluster.url, { timeoutMs: 500 });
    const keys = manyKeys(30);
    await Promise.all(keys.map((key) => untilPut(store, key)));
    const follower = new Follower(store);
    t.after(() => follower.stop());
    const load = new Load(store, keys);
    t.after(() => load.stop());
    await follower.hasHeardOf(keys);
    cluster.nodes[0]?.signal("SIGKILL");
    await waitUntil("its end", () => cluster.nodes[0]?.isRunning === false);
    await waitUntil("failures", () => load.failures.size > 0);
    const soFar = load.acknowledged.length;
    await waitUntil("writes elsewhere", () => load.acknowledged.length > soFar + 1000);
    await load.stop();
    await follower.reaches(load, load.failedKeys);
    await cluster.nodes[0]?.restart();
    await Promise.all(keys.map((key) => untilPut(store, key)));
    await follower.reaches(load);
    await follower.stop();
  });

  for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
    const what = signal === "SIGKILL" ? "killed" : "paused, and woken after another took over,";
    test(`a master that is ${what} loses nothing that its replica had confirmed`, async (t) => {
      const cluster = await startOwnRedisCluster({ masters: 3, replicas: 1 });
      t.after(() => cluster.stop());
      const { info } = await openRedis(t, cluster.url);
      assert.match(info.promise, /A replica has confirmed it, .* A failover is best effort/);
      // Where the machine is busy others may take over too, and then from one without a replica.
      const store = await openRedis(t, `${cluster.url}?replicas=1`, { timeoutMs: 5000 });
      const keys = manyKeys(60);
      const load = new Load(store, keys);
      t.after(() => load.stop());
      await load.reachesAll(keys);
      const follower = new Follower(store);
      t.after(() => follower.stop());
      await follower.hasHeardOf(keys);
      const [master, replica] = await findPair(cluster);
      master.signal(signal);
      await waitUntil("a takeover", () => isMaster(replica));
      if (signal === "SIGSTOP") master.signal("SIGCONT");
      else await master.restart();
      await load.reachesAll(keys);
      await load.stop();
      assert.equal(await countLost(store, load), 0);
      await follower.reachesOrWasMisled(load, store);
      await follower.stop();
    });
  }

  /** The first master and its replica, as they are now. */
  async function findPair({ nodes }: RedisCluster): Promise<readonly [RedisServer, RedisServer]> {
    const [one, other] = [nodes[0], nodes[nodes.length / 2]];
    assert.ok(one !== undefined && other !== undefined);
    return (await isMaster(one)) ? [one, other] : [other, one];
  }

  async function isMaster({ port }: RedisServer): Promise<boolean> {
    return (await command(port, "INFO replication")).includes("role:master");
  }

  async function reshard(ports: readonly number[], slots: number): Promise<void> {
    const [from, to] = await Promise.all(
      ports
        .slice(0, 2)
        .map(async (port) => /\$40\r\n(\w{40})/.exec(await command(port, "CLUSTER MYID"))?.[1]),
    );
    const { execFile } = await import("node:child_process");
    const { promisify } = await import("node:util");
    const args = ["--cluster", "reshard", `127.0.0.1:${ports[0]}`, "--cluster-from", `${from}`];
    const amount = ["--cluster-to", `${to}`, "--cluster-slots", `${slots}`, "--cluster-yes"];
    await promisify(execFile)("redis-cli", [...args, ...amount], { maxBuffer: 1 << 26 });
  }
}

/** After which sentinels take a primary for dead: longer than a busy machine may hold it up. */
const DOWN_AFTER_MS = 4000;
const NEVER_MS = 600_000;

if (isSelected("redis")) {
  test("behind Sentinel: a failover is followed, and replicas confirm each batch", async (t) => {
    const sentinel = await startRedisSentinel(DOWN_AFTER_MS);
    t.after(() => sentinel.stop());
    const store = await openRedis(t, `${sentinel.url}?prefix=app`, { timeoutMs: 10_000 });
    assert.match(store.info.product, / with Sentinel$/);
    const keys = manyKeys(20);
    for (const key of keys) await putOne(store, key, "before");
    const seen: Change[] = [];
    const stop = new AbortController();
    const following = (async () => {
      for await (const { changes } of store.changes([""], stop.signal)) seen.push(...changes);
    })();
    sentinel.primary.signal("SIGKILL");
    const opening = openRedis(t, `${sentinel.url}?prefix=app`);
    const reader = keys[0] as Key;
    const entry = await untilDone("a read", () => readEntry(store, reader, "latest"));
    assert.equal(textOf(entry), "before");
    // Who has no replica asks none, unless the URL says that one has to confirm.
    const { version } = await untilDone("a write", () => putOne(store, reader, "alone"));
    assert.ok(version >= 2);
    const strict = await openStrictly(t, sentinel);
    const alone = await commit(strict, { puts: [put(reader, "unconfirmed")] }).catch(
      (error: unknown) => error,
    );
    assert.ok(alone instanceof StateError && alone.code === "outcome_unknown", String(alone));
    assert.match(alone.message, /only 0 of 1 replicas confirmed/);
    assert.equal(textOf(await readEntry(await opening, reader, "latest")), "unconfirmed");
    await sentinel.primary.restart();
    await waitUntil("a replica in step", async () => {
      const info = await command(sentinel.replica.port, "INFO replication");
      return info.includes("role:master") && info.includes("state=online");
    });
    for (const key of keys) {
      await untilPut(store, key);
      const versions = await untilDone("a history", () => versionsOf(store, key));
      assert.deepEqual(versions, upTo(versions.length));
      await waitUntil("the feed", () => lastOf(seen, key)?.version === versions.length);
    }
    stop.abort();
    await following;
  });

  /** A store that asks for a replica, and whose deadline comes long before its calls are cut off. */
  const openStrictly = (t: TestContext, { url }: RedisSentinel): Promise<Store> =>
    openRedis(t, `${url}?prefix=app&replicas=1&socketTimeout=${PATIENCE_MS}`, {
      clock: { ...systemClock, monotonic: () => systemClock.monotonic() * 20 },
      connectTimeoutMs: NEVER_MS,
    });

  const lastOf = (changes: readonly Change[], key: Key): Change | undefined =>
    changes.findLast((change) => change.key === key);

  test("a name that the sentinels don't know is refused at once", async (t) => {
    const sentinel = await startRedisSentinel(NEVER_MS);
    t.after(() => sentinel.stop());
    const url = sentinel.url.replace(/[^/]+$/, "another-name");
    await assert.rejects(openRedis(t, url), (error) => {
      assert.ok(error instanceof StateError && error.code === "invalid_parameter");
      assert.match(error.message, /sentinels know no primary of the name/);
      return true;
    });
  });

  test("replicas=0 asks no replica, and says what that means", async (t) => {
    const sentinel = await startRedisSentinel(NEVER_MS);
    t.after(() => sentinel.stop());
    const store = await openPatiently(t, `${sentinel.url}?replicas=0`);
    sentinel.replica.signal("SIGSTOP");
    await putMany(store, keyOf(unique()), 3);
    const setting = store.info.settings.find(({ name }) => name.startsWith("replicas"));
    assert.equal(setting?.verdict, "weak");
    sentinel.replica.signal("SIGCONT");
  });
}
