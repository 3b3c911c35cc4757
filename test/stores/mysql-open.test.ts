import assert from "node:assert/strict";
import dns, { type LookupAddress } from "node:dns";
import { after, test } from "node:test";
import type { RowDataPacket } from "mysql2/promise";
import { keyOf, putOne, readEntry, readOne, textOf, unique } from "../../src/conformance/build.ts";
import { StateError } from "../../src/errors.ts";
import { openSession } from "../../src/stores/mysql/connect.ts";
import { parseMysqlUrl } from "../../src/stores/mysql/options.ts";
import { tablesOf } from "../../src/stores/mysql/sql.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { freePort, waitUntil } from "../servers/process.ts";
import { isSelected } from "../servers/selection.ts";
import { Stopwatch } from "../servers/stopwatch.ts";
import {
  connectTo,
  openMysql,
  prefixOf,
  STORE_OPTIONS,
  valueOf,
  withGlobal,
} from "./mysql-support.ts";
import { failsWith, PATIENCE_MS, RecordedLog, untilDone } from "./support.ts";

type LookedUp = (error: null, addresses: readonly LookupAddress[]) => void;

if (isSelected("mariadb")) {
  const server = await startMariadb();
  after(() => server.stop());
  const newUrl = freshUrls(server);

  /** The server's URL with other credentials, or another path. */
  const urlWith = (change: (url: URL) => void): string => {
    const url = new URL(newUrl());
    change(url);
    return url.href;
  };

  test("the database is created where it does not exist, and its odd name is no SQL", async (t) => {
    const name = `new; DROP ${unique()}'"`;
    const url = urlWith((one) => (one.pathname = `/${encodeURIComponent(name)}`));
    const store = await openMysql(t, url);
    await putOne(store, keyOf("a"), "value");
    const connection = await connectTo(t, server.url);
    const sql = `SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = ?`;
    const [rows] = await connection.query(sql, [name]);
    assert.deepEqual(rows, [{ "COUNT(*)": 8 }]);
  });

  test("mariadb: is another name for the same store", async (t) => {
    const url = newUrl();
    const [one, two] = [
      await openMysql(t, url),
      await openMysql(t, url.replace("mysql:", "mariadb:")),
    ];
    await putOne(one, keyOf("a"), "value");
    assert.equal(textOf(await readEntry(two, keyOf("a"))), "value");
    assert.deepEqual([one.info.scheme, two.info.scheme], ["mysql", "mariadb"]);
    assert.match(one.info.product, /^(MariaDB|MySQL) \d+\.\d+\.\d+/);
  });

  test("stores of different prefixes share a database and nothing else", async (t) => {
    const [one, two] = [await openMysql(t, newUrl()), await openMysql(t, newUrl())];
    const key = keyOf(unique());
    assert.equal((await putOne(one, key, "of one")).version, 1);
    assert.equal(await readOne(two, key), undefined);
    assert.equal((await putOne(two, key, "of two")).version, 1);
    assert.equal(textOf(await readEntry(one, key)), "of one");
    const page = { from: "", to: undefined, limit: 10 };
    assert.deepEqual(
      (await two.keys(page)).map((info) => info.key),
      [key],
    );
  });

  test("a wrong password is said at once, without the password", async (t) => {
    const url = urlWith((one) => (one.password = "not-the-password"));
    using watch = new Stopwatch();
    await assert.rejects(openMysql(t, url), (error: unknown) => {
      assert.ok(error instanceof StateError && error.code === "store_denied");
      assert.ok(!error.message.includes("not-the-password"));
      return true;
    });
    assert.ok(watch.ms < PATIENCE_MS / 2, "without waiting for connectTimeoutMs");
  });

  test("a user who may not create tables is told which privileges are wanted", async (t) => {
    const admin = await connectTo(t, server.url);
    const user = `reader_${unique()}`;
    await admin.query(
      `CREATE USER '${user}'@'%' IDENTIFIED BY 'x'; GRANT SELECT ON vss.* TO '${user}'@'%'`,
    );
    const url = urlWith((one) => {
      one.username = user;
      one.password = "x";
    });
    await assert.rejects(openMysql(t, url), (error: unknown) => {
      assert.ok(error instanceof StateError && error.code === "store_denied");
      assert.match(error.message, /SELECT, INSERT, UPDATE and DELETE.*CREATE/);
      return true;
    });
  });

  test("a user without CREATE is enough once the tables are there", async (t) => {
    const url = newUrl();
    await openMysql(t, url);
    const admin = await connectTo(t, server.url);
    const user = `writer_${unique()}`;
    await admin.query(`CREATE USER '${user}'@'%' IDENTIFIED BY 'x'`);
    const names = ["settings", "heads", "versions", "deleted", "partitions", "feed", "requests"];
    for (const name of [...names, "commits"]) {
      const table = `vss.\`${prefixOf(url)}_${name}\``;
      await admin.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO '${user}'@'%'`);
    }
    const limited = new URL(url);
    limited.username = user;
    limited.password = "x";
    const store = await openMysql(t, limited.href);
    const key = keyOf(unique());
    await putOne(store, key, "value");
    assert.equal(textOf(await readEntry(store, key)), "value");
    assert.equal(await store.maintain({ feedRetentionMs: 1_000 }), false);
    // A privilege that is taken away while the store runs stops the calls that need it, and no other.
    await admin.query(`REVOKE INSERT ON vss.\`${prefixOf(url)}_feed\` FROM '${user}'@'%'`);
    await assert.rejects(putOne(store, key, "refused"), failsWith("store_denied"));
    const entry = await readEntry(store, key);
    assert.deepEqual([entry.version, textOf(entry)], [1, "value"]);
  });

  test("a database that stays away is given up after the time given", async (t) => {
    const url = urlWith(() => {}).replace(/:\d+\//, `:${await freePort()}/`);
    using watch = new Stopwatch();
    await assert.rejects(
      openMysql(t, url, { connectTimeoutMs: 700 }),
      failsWith("store_unavailable"),
    );
    assert.ok(watch.wallMs >= 600 && watch.ms < PATIENCE_MS / 2, `after ${watch.wallMs} ms`);
  });

  test("a host of two addresses is reached while this process stands still", async (t) => {
    const addresses = [
      { address: "127.0.0.1", family: 4 },
      { address: "::1", family: 6 },
    ];
    let lookups = 0;
    t.mock.method(dns, "lookup", (_host: string, _options: object, done: LookedUp) => {
      lookups += 1;
      done(null, addresses);
      // The connection has begun then; that it is made is not heard of until this ends.
      setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400));
    });
    const url = urlWith((one) => (one.hostname = "database.test"));
    const store = await openMysql(t, url);
    await store.ping();
    assert.equal(lookups, 2, "one for each connection");
  });

  test("tables of a newer version are refused, and left as they are", async (t) => {
    const url = newUrl();
    await openMysql(t, url);
    const connection = await connectTo(t, server.url);
    const table = `\`${prefixOf(url)}_settings\``;
    await connection.query(`UPDATE ${table} SET value = '2' WHERE name = 'schema'`);
    await assert.rejects(openMysql(t, url), (error: unknown) => {
      assert.ok(error instanceof StateError && error.code === "store_incompatible");
      assert.match(error.message, /version 2.*newer version/);
      return true;
    });
    assert.equal(
      String(await valueOf(connection, `SELECT value FROM ${table} WHERE name='schema'`)),
      "2",
    );
  });

  test("a store that was set up with another number of partitions is refused", async (t) => {
    const url = newUrl();
    await openMysql(t, url);
    const connection = await connectTo(t, server.url);
    await connection.query(
      `UPDATE \`${prefixOf(url)}_settings\` SET value = '5' WHERE name = 'partitions'`,
    );
    await assert.rejects(openMysql(t, url), failsWith("store_incompatible"));
  });

  test("a setting by which writes can be lost is named, in the log too", async (t) => {
    const admin = await connectTo(t, server.url);
    const name = "innodb_flush_log_at_trx_commit";
    const log = new RecordedLog();
    await withGlobal(admin, { name, value: 2, after: 1 }, async () => {
      const store = await openMysql(t, newUrl(), { log });
      const setting = store.info.settings.find((one) => one.name === name);
      assert.deepEqual([setting?.value, setting?.verdict], ["2", "weak"]);
      assert.match(store.info.promise, /power cut can lose/);
    });
    const warnings = log.lines.filter(({ level }) => level === "warn");
    assert.deepEqual(
      warnings.map(({ message }) => /Set it to 1/.test(message)),
      [true],
    );
  });

  test("a database that turns read-only refuses writes by name and still answers reads", async (t) => {
    const admin = await connectTo(t, server.url);
    const user = `plain_${unique()}`;
    await admin.query(
      `CREATE USER '${user}'@'%' IDENTIFIED BY 'x'; GRANT ALL ON vss.* TO '${user}'@'%'`,
    );
    const url = urlWith((one) => {
      one.username = user;
      one.password = "x";
    });
    const store = await openMysql(t, url);
    const key = keyOf(unique());
    await putOne(store, key, "value");
    await withGlobal(admin, { name: "read_only", value: 1, after: 0 }, async () => {
      await assert.rejects(putOne(store, key, "refused"), failsWith("store_read_only"));
      await assert.rejects(putOne(store, keyOf(unique()), "refused"), failsWith("store_read_only"));
      assert.equal(textOf(await readEntry(store, key)), "value");
    });
    assert.equal((await putOne(store, key, "again")).version, 2);
  });

  test("quotes and backslashes are stored as they are, whatever the SQL mode", async (t) => {
    const admin = await connectTo(t, server.url);
    const text = `'"\\x00'; DROP TABLE heads; -- \\' \\" %_ ?`;
    const modes = ["''", "'NO_BACKSLASH_ESCAPES,ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH'"];
    for (const value of modes) {
      await withGlobal(admin, { name: "sql_mode", value, after: "DEFAULT" }, async () => {
        const store = await openMysql(t, newUrl());
        const key = keyOf(text);
        await putOne(store, key, text, { contentType: text, author: text, message: text });
        const entry = await readEntry(store, key);
        assert.equal(textOf(entry), text);
        assert.deepEqual([entry.contentType, entry.author, entry.message], [text, text, text]);
        const [first] = await store.keys({ from: text, to: undefined, limit: 1 });
        assert.equal(first?.key, key);
      });
    }
  });

  test("the database's time is told right in the hour that comes twice", async (t) => {
    const zone = process.env["TZ"];
    process.env["TZ"] = "Europe/Berlin";
    const there = await startMariadb();
    t.after(() => there.stop());
    if (zone === undefined) delete process.env["TZ"];
    else process.env["TZ"] = zone;
    const options = parseMysqlUrl(there.url);
    const deadline = systemClock.monotonic() + PATIENCE_MS;
    const session = await openSession(
      { options, tables: tablesOf("vss"), store: STORE_OPTIONS },
      { database: options.database, idleTimeoutMs: PATIENCE_MS, isGalera: false, deadline },
    );
    t.after(() => session.destroy());
    const inTheFirst = Date.parse("2026-10-25T00:30:00Z") / 1_000;
    const [, rows] = await session.run(
      [`SET timestamp = ${inTheFirst}`, "SELECT UNIX_TIMESTAMP(NOW(3))"],
      deadline,
    );
    assert.equal(Number(rows?.[0]?.[0]), inTheFirst);
  });

  test("a server without a free connection is an unavailable store, and a passing one", async (t) => {
    const url = newUrl();
    const store = await openMysql(t, url, { timeoutMs: 2_000 });
    const admin = await connectTo(t, server.url);
    const key = keyOf(unique());
    await putOne(await openMysql(t, url), key, "value");
    const own = await valueOf(admin, "SELECT CONNECTION_ID()");
    const others = async (): Promise<readonly unknown[]> => {
      const [rows] = await admin.query<RowDataPacket[]>("SHOW PROCESSLIST");
      return rows.map(({ Id: id }): unknown => id).filter((id) => id !== own);
    };
    const setting = { name: "max_connections", value: 10, after: 200 };
    await withGlobal(admin, setting, async () => {
      // Others take the places of the store's own idle connections.
      await waitUntil("the end of all others", async () => {
        const ids = await others();
        for (const id of ids) await admin.query(`KILL ${String(id)}`).catch(() => {});
        return ids.length === 0;
      });
      // One more than the setting says, which is for those who administer it, as this user may.
      await waitUntil("a full server", async () => {
        const isRefused = await connectTo(t, server.url).then(
          () => false,
          () => true,
        );
        return isRefused && (await others()).length >= setting.value;
      });
      await assert.rejects(readOne(store, key), failsWith("store_unavailable"));
    });
    const entry = await untilDone("a read", () => readEntry(store, key));
    assert.equal(textOf(entry), "value");
  });
}
