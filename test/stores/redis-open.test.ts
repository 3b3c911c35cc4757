import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { keyOf, putOne, readEntry, textOf, unique } from "../../src/conformance/build.ts";
import { StateError } from "../../src/errors.ts";
import type { Setting, Store } from "../../src/store.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { freePort, waitUntil } from "../servers/process.ts";
import { startOwnRedis, startOwnRedisCluster, type RedisServer } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { Stopwatch } from "../servers/stopwatch.ts";
import { failsWith, PATIENCE_MS, RecordedLog } from "./support.ts";
import { openPatiently, prefixOf, redisCommand, startWithFirstFailure } from "./redis-support.ts";

const PASSWORD = "s3cr3t/ü@%";

if (isSelected("redis")) {
  const server = await startOwnRedis();
  after(() => server.stop());
  const newUrl = freshUrls(server);

  const settingOf = (store: Store, name: string): Setting | undefined =>
    store.info.settings.find((setting) => setting.name === name);

  const startFor = async (t: TestContext, ...args: readonly string[]): Promise<RedisServer> => {
    const own = await startOwnRedis({ args });
    t.after(() => own.stop());
    return own;
  };

  test("a state that syncs every write is said to be on disk", async (t) => {
    const { info } = await openPatiently(t, newUrl());
    assert.match(info.product, /^(Redis|Valkey) \d+\.\d+\.\d+$/);
    assert.equal(info.promise, "An acknowledged write is on Redis's disk.");
    assert.deepEqual([...new Set(info.settings.map(({ verdict }) => verdict))], ["ok"]);
  });

  test("a Redis with default settings works, and is said to be weak", async (t) => {
    const own = await startFor(t, "--appendonly", "no", "--appendfsync", "everysec");
    const store = await openPatiently(t, own.url);
    const key = keyOf(unique());
    await putOne(store, key, "value");
    assert.equal(textOf(await readEntry(store, key, "latest")), "value");
    assert.equal(settingOf(store, "appendonly")?.verdict, "weak");
    assert.match(settingOf(store, "appendonly")?.advice ?? "", /Set appendonly to yes/);
    assert.equal(settingOf(store, "appendfsync"), undefined);
    assert.match(store.info.promise, /loses all since its last snapshot/);
  });

  test("each weak setting is named with what to set", async (t) => {
    const own = await startFor(
      t,
      ..."--appendfsync everysec --no-appendfsync-on-rewrite yes".split(" "),
      ..."--maxmemory-policy allkeys-lru".split(" "),
    );
    const store = await openPatiently(t, own.url);
    const weak = store.info.settings.filter(({ verdict }) => verdict === "weak");
    assert.deepEqual(
      weak.map(({ name }) => name),
      ["appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"],
    );
    for (const { advice } of weak) assert.match(advice ?? "", /\. Set .*\.$/);
    assert.match(store.info.promise, /can lose the last second\. Short of memory/);
  });

  test("a user without CONFIG has settings that are not known, and a store that works", async (t) => {
    const own = await startFor(t);
    await redisCommand(own.url, ..."ACL SETUSER app on >pw ~* &* +@all -config".split(" "));
    const store = await openPatiently(t, own.url.replace("redis://", "redis://app:pw@"));
    await putOne(store, keyOf(unique()), "value");
    assert.equal(settingOf(store, "appendonly")?.verdict, "ok", "INFO says as much");
    assert.equal(settingOf(store, "appendfsync")?.verdict, "unknown");
    assert.match(store.info.promise, /whether on disk is not known/);
  });

  test("a user that may touch the prefix's names alone is enough", async (t) => {
    const own = await startFor(t);
    await redisCommand(
      own.url,
      ..."ACL SETUSER app on >pw ~{mine}* ~{mine.*}* +@all -@dangerous +info".split(" "),
    );
    const url = own.url.replace("redis://", "redis://app:pw@");
    const store = await openPatiently(t, `${url}?prefix=mine`);
    await putOne(store, keyOf(unique()), "value");
    await assert.rejects(openPatiently(t, `${url}?prefix=other`), failsWith("store_denied"));
  });

  test("a wrong password is refused at once, and never shown", async (t) => {
    const own = await startFor(t, "--requirepass", PASSWORD);
    const encoded = encodeURIComponent(PASSWORD);
    const log = new RecordedLog();
    for (const credentials of ["", ":wr0ng-secret@", "someone:wr0ng-secret@"]) {
      const url = own.url.replace("redis://", `redis://${credentials}`);
      using watch = new Stopwatch();
      const error: unknown = await openPatiently(t, url, { log }).catch(
        (caught: unknown) => caught,
      );
      assert.ok(watch.ms < PATIENCE_MS / 2, "no retry helps here");
      assert.ok(failsWith("store_denied")(error), String(error));
      assert.doesNotMatch(JSON.stringify([`${String(error)}`, error, log.lines]), /wr0ng-secret/);
    }
    const url = own.url.replace("redis://", `redis://:${encoded}@`);
    const store = await openPatiently(t, url, { log });
    await putOne(store, keyOf(unique()), "value");
    assert.doesNotMatch(JSON.stringify([store.info, log.lines]), /s3cr3t/);
  });

  test("a password that is changed while running is a clear failure, and mends itself", async (t) => {
    const own = await startFor(t, "--requirepass", "one");
    const store = await openPatiently(t, own.url.replace("redis://", "redis://:one@"));
    const key = keyOf(unique());
    await putOne(store, key, "value");
    const admin = own.url.replace("redis://", "redis://:one@");
    await redisCommand(admin, "CONFIG", "SET", "requirepass", "two");
    await redisCommand(
      own.url.replace("redis://", "redis://:two@"),
      "CLIENT",
      "KILL",
      "TYPE",
      "normal",
    );
    await waitUntil("a refusal", () =>
      readEntry(store, key, "latest").then(
        () => false,
        // The connection is lost first, and then the next one refused.
        (error: unknown) =>
          error instanceof StateError &&
          error.code !== "store_unavailable" &&
          failsWith("store_denied")(error),
      ),
    );
    const changed = own.url.replace("redis://", "redis://:two@");
    await redisCommand(changed, "CONFIG", "SET", "requirepass", "one");
    await waitUntil("a read", () => readEntry(store, key, "latest").then(Boolean, () => false));
  });

  test("nobody at the address: one clear failure after the time to connect", async (t) => {
    const url = `redis://127.0.0.1:${await freePort()}?connectTimeout=${PATIENCE_MS}`;
    const more = { ...startWithFirstFailure(), connectTimeoutMs: 2000 };
    using watch = new Stopwatch();
    const error: unknown = await openPatiently(t, url, more).catch((caught: unknown) => caught);
    assert.ok(watch.wallMs > 1000 && watch.ms < PATIENCE_MS / 2, `after ${watch.wallMs} ms`);
    assert.ok(error instanceof StateError && error.code === "store_unavailable");
    assert.match(error.message, /^Redis did not answer within 2 s \(ECONNREFUSED\)\. Check /);
  });

  test("a URL of another kind of Redis is refused with the right one", async (t) => {
    const asCluster = server.url.replace("redis://", "redis-cluster://").replace("/0", "");
    await assert.rejects(openPatiently(t, asCluster), (error) => {
      assert.ok(failsWith("invalid_parameter")(error));
      assert.match(String(error), /A single server's begins with redis:/);
      return true;
    });
    const asSentinel = `${server.url.replace("redis://", "redis-sentinel://").replace("/0", "")}/main`;
    await assert.rejects(openPatiently(t, asSentinel), failsWith("invalid_parameter"));
    const node = await startFor(
      t,
      "--cluster-enabled",
      "yes",
      "--cluster-port",
      `${await freePort()}`,
    );
    await assert.rejects(openPatiently(t, node.url), (error) => {
      assert.match(String(error), /run as cluster: its URL begins with redis-cluster:/);
      return true;
    });
  });

  test("a Redis that starts late is waited for", async (t) => {
    const own = await startFor(t);
    own.signal("SIGKILL");
    const opening = openPatiently(t, own.url, { connectTimeoutMs: 120_000 });
    await own.restart();
    await putOne(await opening, keyOf(unique()), "value");
  });

  test("two prefixes, and two databases, are two states", async (t) => {
    const urls = [newUrl(), newUrl(), `${server.url.replace("/0", "/1")}?prefix=same`];
    const stores = await Promise.all(
      [...urls, `${server.url.replace("/0", "/2")}?prefix=same`].map((url) =>
        openPatiently(t, url),
      ),
    );
    const key = keyOf(unique());
    for (const [i, store] of stores.entries()) await putOne(store, key, `value ${i}`);
    for (const [i, store] of stores.entries()) {
      const entry = await readEntry(store, key, "latest");
      assert.equal(entry.version, 1);
      assert.equal(textOf(entry), `value ${i}`);
      assert.equal((await store.keys({ from: "", to: undefined, limit: 10 })).length, 1);
    }
  });

  test("a state of a newer schema is refused", async (t) => {
    const url = newUrl();
    await redisCommand(url, "SET", `{${prefixOf(url)}}setup`, "schema=2 something=new");
    await assert.rejects(openPatiently(t, url), (error) => {
      assert.ok(failsWith("store_incompatible")(error));
      assert.match(String(error), /newer version of this server \(schema 2/);
      return true;
    });
  });

  test("another program's data under the same names is refused, and left alone", async (t) => {
    const setup = newUrl();
    await redisCommand(setup, "SET", `{${prefixOf(setup)}}setup`, "mine");
    await assert.rejects(openPatiently(t, setup), failsWith("store_incompatible"));

    const url = newUrl();
    const store = await openPatiently(t, url);
    const key = keyOf(unique());
    const name = `{${prefixOf(url)}.0}h:${key}`;
    await redisCommand(url, "SET", name, "mine");
    await assert.rejects(putOne(store, key, "value"), failsWith("store_incompatible"));
    await assert.rejects(readEntry(store, key, "latest"), failsWith("store_incompatible"));
    assert.equal(await redisCommand(url, "GET", name), "mine");
  });

  test("a Redis out of memory takes no writes, and still reads", async (t) => {
    const own = await startFor(t);
    const store = await openPatiently(t, own.url);
    const key = keyOf(unique());
    await putOne(store, key, "value");
    await redisCommand(own.url, "CONFIG", "SET", "maxmemory", "1");
    await assert.rejects(putOne(store, key, "more"), failsWith("store_full"));
    assert.equal(textOf(await readEntry(store, key, "latest")), "value");
    await redisCommand(own.url, "CONFIG", "SET", "maxmemory", "0");
    assert.equal((await putOne(store, key, "more")).version, 2);
  });

  test("nothing of a seed that is dead is left once another has answered", async (t) => {
    const cluster = await startOwnRedisCluster({ masters: 3 });
    t.after(() => cluster.stop());
    const dead = await freePort();
    const url = cluster.url.replace("://", `://127.0.0.1:${dead},`);
    const program = [
      `import { open } from "./src/stores/redis/store.ts";`,
      `import { systemClock as clock } from "./src/telemetry/clock.ts";`,
      `import { silentLog as log } from "./src/telemetry/log.ts";`,
      `const times = { timeoutMs: 2000, connectTimeoutMs: ${4 * PATIENCE_MS} };`,
      `await (await open("${url}", { clock, log, ...times })).close();`,
    ];
    const args = ["--input-type=module", "-e", program.join("\n")];
    await promisify(execFile)(process.execPath, args, { timeout: PATIENCE_MS });
  });

  test("a Redis that asks for more replicas than it has takes no writes", async (t) => {
    const own = await startFor(t);
    const store = await openPatiently(t, own.url);
    await redisCommand(own.url, "CONFIG", "SET", "min-replicas-to-write", "1");
    await assert.rejects(putOne(store, keyOf(unique()), "x"), failsWith("store_read_only"));
  });

  test("a script that the server has forgotten is sent again", async (t) => {
    const url = newUrl();
    const store = await openPatiently(t, url);
    const key = keyOf(unique());
    await putOne(store, key, "one");
    await redisCommand(url, "SCRIPT", "FLUSH");
    assert.equal((await putOne(store, key, "two")).version, 2);
    await redisCommand(url, "SCRIPT", "FLUSH");
    assert.equal(textOf(await readEntry(store, key, "latest")), "two");
  });
}
