import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  commit,
  committed,
  keyOf,
  put,
  putOne,
  readEntry,
  requestId,
  textOf,
  transaction,
  unique,
} from "../../src/conformance/build.ts";
import type { RowDataPacket } from "mysql2/promise";
import { StateError } from "../../src/errors.ts";
import type { Key } from "../../src/key.ts";
import type { ChangeBatch, Store } from "../../src/store.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { pause, waitUntil } from "../servers/process.ts";
import { isSelected } from "../servers/selection.ts";
import { Stopwatch } from "../servers/stopwatch.ts";
import { firstWith, Proxy, type Verdict } from "./lossy-proxy.ts";
import { connectTo, openMysql, prefixOf, valueOf } from "./mysql-support.ts";
import { failsWith, isBackSoon, outageOf, RecordedLog, untilDone } from "./support.ts";

if (isSelected("mariadb")) {
  const server = await startMariadb();
  after(() => server.stop());
  const newUrl = freshUrls(server);

  const versionsOf = async (store: Store, key: Key): Promise<readonly number[]> => {
    const page = { order: "oldest-first", after: 0, limit: 1000 } as const;
    return (await store.history(key, page)).map(({ version }) => version);
  };

  const losses: readonly { readonly what: string; readonly verdict: Verdict }[] = [
    { what: "whose answer is lost", verdict: "cut-answer" },
    { what: "that is lost on its way", verdict: "cut" },
    { what: "that arrives after its connection was given up", verdict: "cut-and-pass-late" },
  ];

  for (const { what, verdict } of losses) {
    test(`a commit in one packet ${what} is applied once, and answered`, async (t) => {
      const proxy = await Proxy.start(t, newUrl());
      const store = await openMysql(t, proxy.url);
      const key = keyOf(unique());
      await putOne(store, key, "first");
      proxy.decide = firstWith(";COMMIT", verdict);
      assert.equal((await putOne(store, key, "second")).version, 2);
      await sleep(verdict === "cut-and-pass-late" ? 500 : 0);
      assert.deepEqual(await versionsOf(store, key), [1, 2]);
      assert.equal((await putOne(store, key, "third")).version, 3);
      assert.equal(textOf(await readEntry(store, key, { version: 2 })), "second");
    });

    test(`a commit in two round trips ${what} is applied once, and answered`, async (t) => {
      const proxy = await Proxy.start(t, newUrl());
      const store = await openMysql(t, proxy.url);
      const [key, gone] = [keyOf(unique()), keyOf(unique())];
      for (const one of [key, gone]) await putOne(store, one, "first");
      proxy.decide = firstWith(";COMMIT", verdict);
      const outcome = committed(
        await commit(store, { puts: [put(key, "second")], deletes: [gone] }),
      );
      assert.deepEqual([outcome.puts[0]?.version, outcome.deletes[0]?.versions], [2, 1]);
      await sleep(verdict === "cut-and-pass-late" ? 500 : 0);
      assert.deepEqual(await versionsOf(store, key), [1, 2]);
      assert.deepEqual(await versionsOf(store, gone), []);
    });
  }

  test("a connection that is cut before the commit was sent costs a retry and no more", async (t) => {
    const proxy = await Proxy.start(t, newUrl());
    const store = await openMysql(t, proxy.url);
    const key = keyOf(unique());
    proxy.decide = firstWith("FOR UPDATE", "cut-answer");
    assert.equal((await putOne(store, key, "one")).version, 1);
    assert.deepEqual(await versionsOf(store, key), [1]);
  });

  test("a read on a connection that died unseen is asked again on another", async (t) => {
    const proxy = await Proxy.start(t, newUrl());
    const store = await openMysql(t, proxy.url);
    const key = keyOf(unique());
    await putOne(store, key, "value");
    // What reads has a connection then.
    await readEntry(store, key);
    proxy.decide = firstWith("_heads", "cut");
    assert.equal(textOf(await readEntry(store, key)), "value");
  });

  test("calls on a network that swallows everything settle in time, and say what is known", async (t) => {
    const url = newUrl();
    const proxy = await Proxy.start(t, url);
    const timeoutMs = 2_000;
    const store = await openMysql(t, proxy.url, { timeoutMs });
    const patient = await openMysql(t, url);
    const key = keyOf(unique());
    // It knows the key's latest version then, and needs no round trip before the one that commits.
    const { version } = await untilDone("a write", () => putOne(store, key, "before"));
    proxy.decide = () => "swallow";
    using watch = new Stopwatch();
    const calls = [
      assert.rejects(
        store.read([{ key, select: "latest", value: true }]),
        failsWith("store_unavailable"),
      ),
      assert.rejects(putOne(store, key, "lost"), failsWith("outcome_unknown", "unknown")),
      assert.rejects(store.ping(), failsWith("store_unavailable")),
    ];
    await Promise.all(calls);
    assert.ok(watch.ms < 2 * timeoutMs, `settled after ${watch.ms} ms`);
    proxy.decide = () => "pass";
    assert.equal(textOf(await untilDone("a read", () => readEntry(store, key))), "before");
    assert.equal((await putOne(patient, key, "after")).version, version + 1);
    await isBackSoon(() => putOne(store, keyOf(unique()), "a write too"));
  });

  test("a write that nobody will ever know of says so, and holds no lock for long", async (t) => {
    const proxy = await Proxy.start(t, newUrl());
    const store = await openMysql(t, proxy.url, { timeoutMs: 2_000 });
    const direct = await openMysql(t, proxy.url.replace(/:\d+\//, `:${new URL(server.url).port}/`));
    const key = keyOf(unique());
    const other = keyOf(unique());
    for (const one of [key, other]) await putOne(direct, one, "first");
    // The locks are taken, and the packet that would write and commit never arrives.
    let isSwallowed = false;
    proxy.decide = (piece) => {
      if (isSwallowed || !piece.includes(";COMMIT")) return "pass";
      isSwallowed = true;
      return "swallow";
    };
    await waitUntil("a commit that is swallowed", async () => {
      const lost = commit(store, { puts: [put(key, "second")], deletes: [other] });
      // A busy database may not come as far as the locks in time.
      await assert.rejects(lost, (error) =>
        isSwallowed
          ? failsWith("outcome_unknown", "unknown")(error)
          : failsWith("store_unavailable")(error),
      );
      return isSwallowed;
    });
    assert.equal((await putOne(direct, key, "mine")).version, 2);
  });

  test("kill -9 of the database loses nothing that was acknowledged", async (t) => {
    const url = newUrl();
    const store = await openMysql(t, url, { timeoutMs: 3_000 });
    const keys = Array.from({ length: 40 }, () => keyOf(unique()));
    const acknowledged = new Map<string, string>();
    let running = true;
    const writers = keys.map(async (key) => {
      while (running) {
        const value = unique();
        try {
          const { version } = await putOne(store, key, value);
          acknowledged.set(`${key}.${version}`, value);
        } catch (error) {
          assert.ok(error instanceof StateError, String(error));
          await sleep(20);
        }
      }
    });
    for (let round = 0; round < 3; round += 1) {
      const count = acknowledged.size;
      await waitUntil("some writes", () => acknowledged.size > count + 200);
      server.signal("SIGKILL");
      await server.restart();
    }
    running = false;
    await Promise.all(writers);
    const patient = await openMysql(t, url);
    for (const key of keys) {
      const versions = await versionsOf(patient, key);
      assert.deepEqual(
        versions,
        Array.from(versions, (_, i) => i + 1),
        "no gap",
      );
    }
    for (const [name, value] of acknowledged) {
      const [key = "", version] = name.split(".");
      const entry = await readEntry(patient, keyOf(key), { version: Number(version) });
      assert.equal(textOf(entry), value, `the value of ${name}`);
    }
  });

  test("a paused database keeps no call beyond its deadline, and all is well after it", async (t) => {
    const log = new RecordedLog();
    const url = newUrl();
    const timeoutMs = 2_000;
    const patient = await openMysql(t, url);
    const store = await openMysql(t, url, { timeoutMs, log });
    const keys = Array.from({ length: 30 }, () => keyOf(unique()));
    for (const key of keys) await putOne(patient, key, "first");
    await pause(server);
    using watch = new Stopwatch();
    const calls = keys.flatMap((key) => [
      putOne(store, key, "second"),
      store.read([{ key, select: "latest", value: true }]),
      store.keys({ from: "", to: undefined, limit: 5 }),
    ]);
    const settled = await Promise.allSettled(calls);
    const tookMs = watch.ms;
    const errors = log.lines.filter(({ level }) => level === "error");
    server.signal("SIGCONT");
    assert.ok(tookMs < 2 * timeoutMs, `settled after ${tookMs} ms`);
    for (const one of settled) {
      assert.ok(one.status === "rejected");
      outageOf(one.reason);
    }
    assert.ok(errors.length >= 1 && errors.length <= 2, "one line for each kind of failure");
    await connectTo(t, server.url);
    await isBackSoon(() => store.ping());
    await waitUntil("a line", () =>
      log.lines.some(({ message }) => message.includes("answers again")),
    );
    for (const key of keys) {
      const { version } = await putOne(patient, key, "third");
      const versions = await versionsOf(patient, key);
      // What was unknown may have been written, once, and also after the third.
      assert.deepEqual(versions, [1, 2, 3].slice(0, versions.length), "no gap, no repeat");
      assert.ok(version >= 2 && version <= versions.length);
      assert.equal(textOf(await readEntry(patient, key, { version })), "third");
    }
  });

  test("a follower survives a restart of the database without missing or repeating", async (t) => {
    const url = newUrl();
    const store = await openMysql(t, url, { timeoutMs: 2_000 });
    const other = await openMysql(t, url);
    const key = keyOf(unique());
    const end = new AbortController();
    const seen: number[] = [];
    let isFollowing = false;
    const following = (async () => {
      for await (const batch of store.changes("now", end.signal)) {
        isFollowing = true;
        seen.push(...batch.changes.map(({ version }) => version));
      }
    })();
    await waitUntil("the present", () => isFollowing);
    await putOne(other, key, "1");
    await waitUntil("the first change", () => seen.length === 1);
    server.signal("SIGKILL");
    await server.restart();
    for (let version = 2; version <= 5; version += 1) await putOne(other, key, String(version));
    await waitUntil("the others", () => seen.length >= 5);
    end.abort();
    await following;
    assert.deepEqual(seen, [1, 2, 3, 4, 5]);
  });

  test("another process's write reaches a follower soon", async (t) => {
    const url = newUrl();
    const [store, other] = await Promise.all([openMysql(t, url), openMysql(t, url)]);
    const end = new AbortController();
    const batches: ChangeBatch[] = [];
    const following = (async () => {
      for await (const batch of store.changes("now", end.signal)) batches.push(batch);
    })();
    await waitUntil("the present", () => batches.length === 1);
    // A quarter of a second is promised for each, and measured by the benchmark of watches.
    const rounds = 20;
    let waitedMs = 0;
    for (let round = 1; round <= rounds; round += 1) {
      await putOne(other, keyOf(unique()), "value");
      using watch = new Stopwatch();
      await waitUntil("the change", () => batches.length > round);
      waitedMs += watch.ms;
    }
    assert.ok(waitedMs < rounds * 500, `${rounds} changes took ${waitedMs} ms`);
    end.abort();
    await following;
  });

  test("an unknown commit is told from one that was never made, whatever else runs", async (t) => {
    const proxy = await Proxy.start(t, newUrl());
    const store = await openMysql(t, proxy.url);
    const keys = Array.from({ length: 20 }, () => keyOf(unique()));
    let pieces = 0;
    // Every fifth commit loses its answer, every seventh never arrives.
    proxy.decide = (piece) => {
      if (!piece.includes(";COMMIT")) return "pass";
      pieces += 1;
      if (pieces % 7 === 0) return "cut";
      return pieces % 5 === 0 ? "cut-answer" : "pass";
    };
    for (let round = 1; round <= 20; round += 1) {
      const outcomes = await Promise.all(
        [keys.slice(0, 10), keys.slice(10)].map((half) =>
          store.commit(half.map((key) => transaction({ puts: [put(key, `v${round}`)] }))),
        ),
      );
      for (const outcome of outcomes.flat()) {
        assert.equal(committed(outcome).puts[0]?.version, round);
      }
    }
    assert.ok(pieces > 45, "some commits were lost and repeated");
  });

  test("a process that dies between its locks and its commit blocks nobody", async (t) => {
    const url = newUrl();
    const store = await openMysql(t, url);
    const key = keyOf(unique());
    await putOne(store, key, "first");
    const prefix = prefixOf(url);
    const [rival, check] = [await connectTo(t, server.url), await connectTo(t, server.url)];
    await rival.query(`START TRANSACTION; SELECT * FROM ${prefix}_heads FOR UPDATE`);
    const blocked = putOne(store, key, "second");
    const waiting =
      "SELECT COUNT(*) FROM information_schema.INNODB_TRX " +
      `WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE '%${prefix}%'`;
    await waitUntil("a put that waits", async () => {
      // The table is made anew only where nobody has read it for a tenth of a second.
      await check.query("DO SLEEP(0.2)");
      return (await valueOf(check, waiting)) === 1;
    });
    rival.destroy();
    assert.equal((await blocked).version, 2);
    assert.equal(await valueOf(check, `SELECT COUNT(*) FROM ${prefix}_versions`), 2);
  });

  test("who is told of a write that somebody else made, is told when it is on disk", async (t) => {
    const url = newUrl();
    const store = await openMysql(t, url);
    const connection = await connectTo(t, server.url);
    const commits = async (): Promise<number> => {
      const [rows] = await connection.query<RowDataPacket[]>(
        "SHOW GLOBAL STATUS LIKE 'Com_commit'",
      );
      return Number(rows[0]?.["Value"]);
    };
    const key = keyOf(unique());
    const request = requestId();
    const parts = { request, puts: [put(key, "value")] };
    committed(await commit(store, parts));
    const before = await commits();
    assert.equal(committed(await commit(store, parts)).replayed, true);
    assert.equal(await commits(), before + 1, "the answer of a replay waits for a commit");
    assert.equal(committed(await commit(store, { deletes: [keyOf(unique())] })).deletes.length, 1);
    assert.equal(await commits(), before + 2, "and that of a delete of nothing");
    const refused = await commit(store, {
      conditions: [{ kind: "absent", key }],
      puts: [put(key, "")],
    });
    assert.equal(refused.outcome, "conflict");
    assert.equal(await commits(), before + 2, "a refusal tells of nothing written");
  });

  test("a database that refuses to tell the time costs no connections", async (t) => {
    const proxy = await Proxy.start(t, newUrl());
    const url = new URL(proxy.url);
    url.searchParams.set("connectionLimit", "3");
    url.searchParams.set("idleTimeout", "1000");
    const store = await openMysql(t, url.href);
    proxy.decide = (piece) => (piece.includes("UNIX_TIMESTAMP") ? syncWaitFailed() : "pass");
    // The connections that there were grow old.
    await sleep(1_100);
    for (let call = 0; call < 20; call += 1) await assert.rejects(store.ping());
    await sleep(100);
    assert.ok(proxy.open <= 3, `${proxy.open} connections are open`);
  });
}

/** What a Galera node without a quorum answers a query: error 1205. */
function syncWaitFailed(): Uint8Array {
  const body = Buffer.from("...#HY000WSREP synchronous wait failed", "latin1");
  body.writeUInt8(0xff, 0);
  body.writeUInt16LE(1205, 1);
  return Buffer.concat([Buffer.from([body.length, 0, 0, 1]), body]);
}
