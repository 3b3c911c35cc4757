import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Connection } from "mysql2/promise";
import {
  at,
  commit,
  committed,
  keyOf,
  put,
  putOne,
  readOne,
  transaction,
  unique,
} from "../../src/conformance/build.ts";
import type { Key } from "../../src/key.ts";
import type { Outcome, Store } from "../../src/store.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { waitUntil } from "../servers/process.ts";
import { isSelected } from "../servers/selection.ts";
import { connectTo, openMysql, prefixOf, valueOf } from "./mysql-support.ts";

if (isSelected("mariadb")) {
  const server = await startMariadb();
  after(() => server.stop());
  const newUrl = freshUrls(server);

  test("keys that two stores create at the same moment get versions 1 and 2", async (t) => {
    const url = newUrl();
    const stores = [await openMysql(t, url), await openMysql(t, url), await openMysql(t, url)];
    for (let round = 0; round < 40; round += 1) {
      const keys = Array.from({ length: 5 }, () => keyOf(unique()));
      const batch = (store: Store, order: readonly Key[]): Promise<readonly Outcome[]> =>
        store.commit(order.map((key) => transaction({ puts: [put(key, unique())] })));
      const outcomes = await Promise.all(
        stores.map((store, i) => batch(store, i === 1 ? keys.toReversed() : keys)),
      );
      for (const key of keys) {
        const versions = outcomes.map((list, i) => {
          const place = i === 1 ? keys.length - 1 - keys.indexOf(key) : keys.indexOf(key);
          return committed(at(list, place)).puts[0]?.version;
        });
        assert.deepEqual(new Set(versions), new Set([1, 2, 3]));
      }
    }
  });

  test("of two transactions that each need the other's key absent, one is refused", async (t) => {
    const url = newUrl();
    const [one, two] = [await openMysql(t, url), await openMysql(t, url)];
    for (let round = 0; round < 40; round += 1) {
      const [a, b] = [keyOf(unique()), keyOf(unique())];
      const claim = (store: Store, own: Key, other: Key): Promise<Outcome> =>
        commit(store, { conditions: [{ kind: "absent", key: other }], puts: [put(own, "mine")] });
      const outcomes = await Promise.all([claim(one, a, b), claim(two, b, a)]);
      assert.deepEqual(outcomes.map(({ outcome }) => outcome).toSorted(), [
        "committed",
        "conflict",
      ]);
      const entries = await one.read(
        [a, b].map((key) => ({ key, select: "latest", value: false })),
      );
      assert.equal(entries.filter((entry) => entry !== undefined).length, 1);
    }
  });

  test("of two transactions that each delete what the other puts, one comes first", async (t) => {
    const url = newUrl();
    const [one, two] = [await openMysql(t, url), await openMysql(t, url)];
    for (let round = 0; round < 40; round += 1) {
      const [a, b] = [keyOf(unique()), keyOf(unique())];
      await Promise.all([
        commit(one, { puts: [put(a, "a")], deletes: [b] }),
        commit(two, { puts: [put(b, "b")], deletes: [a] }),
      ]);
      const entries = await one.read(
        [a, b].map((key) => ({ key, select: "latest", value: false })),
      );
      assert.equal(
        entries.filter((entry) => entry !== undefined).length,
        1,
        "the second's own key",
      );
    }
  });

  test("a transaction that read an absent key excludes one that creates it", async (t) => {
    const url = newUrl();
    const [one, two] = [await openMysql(t, url), await openMysql(t, url)];
    for (let round = 0; round < 40; round += 1) {
      const [a, b] = [keyOf(unique()), keyOf(unique())];
      const copy = (store: Store, own: Key, other: Key): Promise<Outcome> =>
        commit(store, { reads: [other], puts: [put(own, "mine")] });
      const outcomes = await Promise.all([copy(one, a, b), copy(two, b, a)]);
      const seen = outcomes.map((outcome) => committed(outcome).reads[0]);
      assert.ok(
        seen.some((entry) => entry !== undefined),
        "one of them saw the other's key",
      );
    }
  });

  const torn: readonly {
    readonly what: string;
    readonly transact: (absent: Key) => Parameters<typeof transaction>[0];
  }[] = [
    { what: "deletes and reads", transact: (key) => ({ deletes: [key], reads: [key] }) },
    {
      what: "needs absent and reads",
      transact: (key) => ({ conditions: [{ kind: "absent", key }], reads: [key] }),
    },
  ];
  for (const { what, transact } of torn) {
    test(`a key that a transaction ${what} does not come to be in between, behind others of its batch`, async (t) => {
      const url = newUrl();
      const [one, two] = [await openMysql(t, url), await openMysql(t, url)];
      const [name, value] = [unique(), unique()];
      const [absent, behind] = [keyOf(`${name}-a`), keyOf(`${name}-b`)];
      await putOne(one, behind, value);
      const inTheWay = await connectTo(t, server.url);
      await inTheWay.query("START TRANSACTION");
      await inTheWay.query(
        `SELECT 1 FROM ${prefixOf(url)}_heads WHERE key_bytes = '${behind}' FOR UPDATE`,
      );
      const batch = one.commit([
        transaction(transact(absent)),
        transaction({ puts: [put(behind, value)] }),
      ]);
      await waitForLock(inTheWay);
      const rival = putOne(two, absent, value);
      await Promise.race([rival, sleep(300)]);
      await inTheWay.query("COMMIT");
      const { reads } = committed(at(await batch, 0));
      assert.deepEqual(reads, [undefined]);
      await rival;
    });
  }

  /** Until somebody waits for a row. InnoDB tells news of it to who has not asked for a tenth of a second. */
  const waitForLock = (connection: Connection): Promise<void> =>
    waitUntil("a wait for a row", async () => {
      await sleep(200);
      const waits = "SELECT COUNT(*) FROM information_schema.INNODB_LOCK_WAITS";
      return Number(await valueOf(connection, waits)) > 0;
    });

  test("holding absent keys leaves nothing behind", async (t) => {
    const url = newUrl();
    const store = await openMysql(t, url);
    const [a, b, c] = [keyOf(unique()), keyOf(unique()), keyOf(unique())];
    committed(
      await commit(store, {
        conditions: [{ kind: "absent", key: b }],
        reads: [c],
        puts: [put(a, "value")],
      }),
    );
    const refused = await commit(store, {
      conditions: [{ kind: "present", key: b }],
      puts: [put(a, "value")],
    });
    assert.equal(refused.outcome, "conflict");
    const connection = await connectTo(t, server.url);
    const heads = `${prefixOf(url)}_heads`;
    assert.equal(await valueOf(connection, `SELECT COUNT(*) FROM ${heads}`), 1);
    assert.deepEqual((await store.keys({ from: "", to: undefined, limit: 9 })).length, 1);
  });

  test("a head that another store moved on is found out, and nothing is lost of either", async (t) => {
    const url = newUrl();
    const [one, two] = [await openMysql(t, url), await openMysql(t, url)];
    const key = keyOf(unique());
    for (let version = 1; version <= 30; version += 1) {
      const store = version % 3 === 0 ? one : two;
      assert.equal((await putOne(store, key, `v${version}`)).version, version);
    }
    // A store that remembers version 30 puts again after another has deleted the key.
    committed(await commit(two, { deletes: [key] }));
    const reborn = await putOne(one, key, "reborn");
    assert.equal(reborn.version, 1);
    // And after it was created anew by the other, at the very version that it remembers.
    committed(await commit(two, { deletes: [key] }));
    const again = await putOne(two, key, "again");
    assert.notEqual(again.incarnation, reborn.incarnation);
    const next = await putOne(one, key, "next");
    assert.deepEqual([next.version, next.incarnation], [2, again.incarnation]);
  });

  test("stores that write the same keys in any order meet next to no deadlock", async (t) => {
    const url = newUrl();
    const stores = [await openMysql(t, url), await openMysql(t, url), await openMysql(t, url)];
    const connection = await connectTo(t, server.url);
    const keys = Array.from({ length: 50 }, () => keyOf(unique()));
    const rounds = 30;
    await Promise.all(
      stores.map(async (store, i) => {
        for (let round = 0; round < rounds; round += 1) {
          const order = keys.toSorted(() => ((round * 7 + i) % 3) - 1);
          const batch = order.map((key) => transaction({ puts: [put(key, "value")] }));
          for (const outcome of await store.commit(batch)) committed(outcome);
        }
      }),
    );
    const found = await stores[0]?.read(
      keys.map((key) => ({ key, select: "latest", value: false })),
    );
    for (const entry of found ?? []) {
      assert.ok(entry !== undefined && entry !== "trimmed");
      assert.equal(entry.version, rounds * stores.length);
    }
    const sql =
      "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS " +
      "WHERE VARIABLE_NAME = 'Innodb_deadlocks'";
    assert.ok(Number(await valueOf(connection, sql)) < 10, "deadlocks are an exception");
  });

  test("a commit that loses one deadlock after another is made in the end", async (t) => {
    const url = newUrl();
    const store = await openMysql(t, url);
    const key = keyOf(unique());
    await putOne(store, key, "first");
    const connection = await connectTo(t, server.url);
    const [versions, lost] = [`${prefixOf(url)}_versions`, `${prefixOf(url)}_lost`];
    // What is in memory is not rolled back, and so counts the transactions that are.
    await connection.query(
      `CREATE TABLE ${lost} (n INT) ENGINE=MEMORY; INSERT INTO ${lost} VALUES (0); ` +
        `CREATE TRIGGER ${lost} BEFORE INSERT ON ${versions} FOR EACH ROW BEGIN ` +
        `UPDATE ${lost} SET n = n + 1; IF (SELECT n FROM ${lost}) <= 12 THEN ` +
        "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213; END IF; END",
    );
    assert.equal((await putOne(store, key, "second")).version, 2);
    assert.equal(await valueOf(connection, `SELECT n FROM ${lost}`), 13);
  });

  test("a key that is deleted and put in one batch starts over, and stays so", async (t) => {
    const store = await openMysql(t, newUrl());
    const key = keyOf(unique());
    await putOne(store, key, "old 1");
    await putOne(store, key, "old 2");
    const outcomes = await store.commit([
      transaction({ deletes: [key] }),
      transaction({ puts: [put(key, "new 1")] }),
      transaction({ puts: [put(key, "new 2")] }),
      transaction({ deletes: [key] }),
      transaction({ puts: [put(key, "last")] }),
    ]);
    const results = outcomes.map((outcome) => {
      const { puts, deletes } = committed(outcome);
      return puts[0]?.version ?? deletes[0]?.versions;
    });
    assert.deepEqual(results, [2, 1, 2, 2, 1]);
    while (await store.maintain({ feedRetentionMs: 60_000 }));
    const history = await store.history(key, { order: "oldest-first", after: 0, limit: 9 });
    assert.deepEqual(
      history.map(({ version }) => version),
      [1],
    );
    assert.equal(await readOne(store, key, { version: 2 }), undefined);
  });
}
