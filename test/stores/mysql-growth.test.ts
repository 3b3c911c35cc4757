import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Connection, RowDataPacket } from "mysql2/promise";
import {
  at,
  commit,
  committed,
  deleteOne,
  keyOf,
  put,
  putKeys,
  putMany,
  putOne,
  readOne,
  transaction,
  unique,
} from "../../src/conformance/build.ts";
import type { Key } from "../../src/key.ts";
import { COMMIT_ID_TTL_MS } from "../../src/limits.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { isSelected } from "../servers/selection.ts";
import { Stopwatch } from "../servers/stopwatch.ts";
import { connectTo, openMysql, prefixOf, valueOf } from "./mysql-support.ts";

if (isSelected("mariadb")) {
  const server = await startMariadb();
  after(() => server.stop());
  const newUrl = freshUrls(server);

  /** How many rows the server touches while `work` runs, whatever else happens on the machine. */
  const rowsTouched = async (
    connection: Connection,
    work: () => Promise<unknown>,
  ): Promise<number> => {
    const sum = async (): Promise<number> => {
      const [rows] = await connection.query<RowDataPacket[]>(
        "SELECT SUM(VARIABLE_VALUE) AS n FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME " +
          "IN ('Handler_read_key', 'Handler_read_next', 'Handler_read_prev', 'Handler_read_rnd_next')",
      );
      return Number(rows[0]?.["n"]);
    };
    const overhead = await sum().then(async (first) => (await sum()) - first);
    const before = await sum();
    await work();
    return (await sum()) - before - overhead;
  };

  /** Gives a key a long history without the hour that putting it would take. */
  const lengthen = async (
    connection: Connection,
    url: string,
    key: Key,
    to: number,
  ): Promise<void> => {
    const [heads, versions] = [`${prefixOf(url)}_heads`, `${prefixOf(url)}_versions`];
    await connection.query(
      `INSERT INTO ${versions} SELECT v.key_bytes, v.incarnation, s.seq, v.created_at + s.seq, ` +
        `v.size, v.digest, v.content_type, v.author, v.message, v.value FROM ${versions} v ` +
        `JOIN seq_2_to_${to} s WHERE v.key_bytes = ? AND v.version = 1`,
      [Buffer.from(key)],
    );
    await connection.query(
      `UPDATE ${heads} SET version = ?, created_at = created_at + ? WHERE key_bytes = ?`,
      [to, to, Buffer.from(key)],
    );
  };

  test("a call on a long history, and among many keys, costs what it costs on a short one", async (t) => {
    const url = newUrl();
    const store = await openMysql(t, url);
    const connection = await connectTo(t, server.url);
    const [short, long] = [keyOf(`m${unique()}`), keyOf(`m${unique()}`)];
    const first = await putOne(store, short, "value");
    await putOne(store, long, "value");
    await lengthen(connection, url, long, 200_000);
    await putKeys(
      store,
      Array.from({ length: 3_000 }, (_, i) => keyOf(`k${i}`)),
    );
    const latest = 200_000;
    const calls: Record<string, (key: Key, version: number) => Promise<unknown>> = {
      put: (key) => putOne(store, key, "next"),
      "conditional put": (key, version) =>
        commit(store, { conditions: [{ kind: "version", key, version }], puts: [put(key, "n")] }),
      latest: (key) => readOne(store, key),
      "by version": (key, version) => readOne(store, key, { version: Math.ceil(version / 2) }),
      "history, newest": (key) =>
        store.history(key, { order: "newest-first", before: undefined, limit: 10 }),
      "history, from the middle": (key, version) =>
        store.history(key, { order: "newest-first", before: Math.ceil(version / 2), limit: 10 }),
      "history, oldest": (key) =>
        store.history(key, { order: "oldest-first", after: 0, limit: 10 }),
      "history, the end": (key, version) =>
        store.history(key, { order: "oldest-first", after: version - 5, limit: 10 }),
      keys: (key) => store.keys({ from: key, to: undefined, limit: 1 }),
      trim: (key) => store.trim(key, first.incarnation, 1, 10),
    };
    for (const [name, call] of Object.entries(calls)) {
      const rows = await rowsTouched(connection, () => call(long, latest));
      assert.ok(rows <= 60, `${name} touched ${rows} rows`);
    }
    const moment = first.createdAt + 123_456;
    const rows = await rowsTouched(connection, async () => {
      const found = await readOne(store, long, { asOf: moment });
      assert.ok(typeof found === "object" && Math.abs(found.version - 123_456) < 3_000);
    });
    assert.ok(rows <= 500, `as of a moment touched ${rows} rows`);
  });

  test("deleting a long history is one small step, and clearing it many that others don't feel", async (t) => {
    const url = newUrl();
    const store = await openMysql(t, url);
    const connection = await connectTo(t, server.url);
    const [long, other] = [keyOf(unique()), keyOf(unique())];
    await putOne(store, long, "value");
    await putOne(store, other, "value");
    await lengthen(connection, url, long, 20_000);
    const rows = await rowsTouched(connection, async () => {
      assert.equal(await deleteOne(store, long), 20_000);
    });
    assert.ok(rows <= 60, `the delete touched ${rows} rows`);
    assert.equal(await readOne(store, long, { version: 7 }), undefined);
    const step = await rowsTouched(connection, () => store.maintain({ feedRetentionMs: 60_000 }));
    assert.ok(step <= 3_000, `a step touched ${step} rows`);
    let isCleared = false;
    const clearing = (async () => {
      while (await store.maintain({ feedRetentionMs: 60_000 }));
    })().finally(() => (isCleared = true));
    const waits: number[] = [];
    while (!isCleared) {
      using watch = new Stopwatch();
      await putOne(store, other, "value");
      waits.push(watch.ms);
    }
    await clearing;
    const left = `SELECT COUNT(*) FROM ${prefixOf(url)}_versions WHERE key_bytes = '${long}'`;
    assert.equal(await valueOf(connection, left), 0);
    assert.equal(await valueOf(connection, `SELECT COUNT(*) FROM ${prefixOf(url)}_deleted`), 0);
    // The median: a busy machine may hold up a single one.
    const usual = waits.toSorted((a, b) => a - b)[Math.floor(waits.length / 2)] ?? 0;
    assert.ok(usual < 1_000, `a put took ${usual} ms meanwhile`);
  });

  test("many small deletes are cleared together, large values a few at a time", async (t) => {
    const url = newUrl();
    const store = await openMysql(t, url);
    const keys = Array.from({ length: 150 }, () => keyOf(unique()));
    await putKeys(store, keys);
    const large = keyOf(unique());
    for (let i = 0; i < 6; i += 1) await putOne(store, large, Buffer.alloc(4_000_000, i));
    const deletes = [...keys, large].map((key) => transaction({ deletes: [key] }));
    for (const outcome of await store.commit(deletes)) committed(outcome);
    const connection = await connectTo(t, server.url);
    const versions = `SELECT COUNT(*) FROM ${prefixOf(url)}_versions`;
    assert.equal(await valueOf(connection, versions), 156);
    let steps = 1;
    while (await store.maintain({ feedRetentionMs: 60_000 })) steps += 1;
    assert.equal(await valueOf(connection, versions), 0);
    assert.equal(await valueOf(connection, `SELECT COUNT(*) FROM ${prefixOf(url)}_deleted`), 0);
    // Steps of a busy database are smaller.
    assert.ok(steps >= 3 && steps <= 40, `in ${steps} steps`);
  });

  test("stores that clear the same remains at once get through with them", async (t) => {
    const url = newUrl();
    const stores = [await openMysql(t, url), await openMysql(t, url), await openMysql(t, url)];
    const store = at(stores, 0);
    const keys = Array.from({ length: 300 }, () => keyOf(unique()));
    for (let round = 0; round < 3; round += 1) await putKeys(store, keys);
    const deletes = keys.map((key) => transaction({ deletes: [key] }));
    for (const outcome of await store.commit(deletes)) committed(outcome);
    await Promise.all(
      stores.map(async (one) => {
        while (await one.maintain({ feedRetentionMs: 60_000 }));
      }),
    );
    while (await store.maintain({ feedRetentionMs: 60_000 }));
    const connection = await connectTo(t, server.url);
    for (const table of ["versions", "deleted"]) {
      const sql = `SELECT COUNT(*) FROM ${prefixOf(url)}_${table}`;
      assert.equal(await valueOf(connection, sql), 0);
    }
  });

  test("an import of an incarnation that a delete has not yet cleared starts clean", async (t) => {
    const store = await openMysql(t, newUrl());
    const key = keyOf(unique());
    const incarnation = unique();
    const importAt = (version: number, value: string) =>
      commit(store, {
        puts: [put(key, value, { imported: { incarnation, version, createdAt: version } })],
      });
    for (let version = 1; version <= 3; version += 1) {
      committed(await importAt(version, `first ${version}`));
    }
    assert.equal(await deleteOne(store, key), 3);
    committed(await importAt(1, "second 1"));
    while (await store.maintain({ feedRetentionMs: 60_000 }));
    const history = await store.history(key, { order: "oldest-first", after: 0, limit: 9 });
    assert.deepEqual(
      history.map(({ version }) => version),
      [1],
    );
  });

  test("ids of commits are forgotten after their time, by the database's own clock", async (t) => {
    const url = newUrl();
    // This process's clock is a day ahead; the ids must not be swept for that.
    const clock = { ...systemClock, now: () => systemClock.now() + 24 * 60 * 60 * 1000 };
    const store = await openMysql(t, url, { clock });
    await putMany(store, keyOf(unique()), 3);
    const connection = await connectTo(t, server.url);
    const commits = `${prefixOf(url)}_commits`;
    const newest = await valueOf(connection, `SELECT HEX(MAX(id)) FROM ${commits}`);
    const newestAt = Number.parseInt(String(newest).slice(0, 12), 16);
    assert.ok(Math.abs(newestAt - systemClock.now()) < 3_600_000, "also the very first id");
    const before = await valueOf(connection, `SELECT COUNT(*) FROM ${commits}`);
    await store.maintain({ feedRetentionMs: 60_000 });
    assert.equal(await valueOf(connection, `SELECT COUNT(*) FROM ${commits}`), before);
    const aged = (systemClock.now() - COMMIT_ID_TTL_MS - 60_000).toString(16).padStart(12, "0");
    await connection.query(`INSERT INTO ${commits} VALUES (x'${aged}00000000000000000000', 1)`);
    await store.maintain({ feedRetentionMs: 60_000 });
    assert.equal(await valueOf(connection, `SELECT COUNT(*) FROM ${commits}`), before);
  });

  test("a batch of more keys than one database transaction takes is answered in order", async (t) => {
    const store = await openMysql(t, newUrl());
    const long = "x".repeat(490);
    const keys = Array.from({ length: 2_500 }, (_, i) => keyOf(`${long}-${i}`));
    const outcomes = await store.commit(keys.map((key) => transaction({ puts: [put(key, key)] })));
    assert.equal(outcomes.length, keys.length);
    for (const outcome of outcomes) assert.equal(committed(outcome).puts[0]?.version, 1);
    const entries = await store.read(keys.map((key) => ({ key, select: "latest", value: false })));
    assert.ok(entries.every((entry) => typeof entry === "object" && entry.version === 1));
  });
}
