import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  commit,
  committed,
  keyOf,
  put,
  putKeys,
  putOne,
  readEntry,
  readOne,
  textOf,
  unique,
} from "../../src/conformance/build.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { isSelected } from "../servers/selection.ts";
import { connectTo, openMysql, prefixOf } from "./mysql-support.ts";

if (isSelected("mariadb")) {
  const server = await startMariadb();
  after(() => server.stop());
  const newUrl = freshUrls(server);

  test("an entry at hand is answered only while the database says that it is the latest", async (t) => {
    const url = newUrl();
    const [one, two] = [await openMysql(t, url), await openMysql(t, url)];
    const key = keyOf(unique());
    await putOne(one, key, "first");
    assert.equal(textOf(await readEntry(one, key)), "first");
    await putOne(two, key, "second");
    assert.equal(textOf(await readEntry(one, key)), "second");
    committed(await commit(two, { deletes: [key] }));
    assert.equal(await readOne(one, key), undefined);
    await putOne(two, key, "born again");
    const entry = await readEntry(one, key);
    assert.deepEqual([entry.version, textOf(entry)], [1, "born again"]);
  });

  test("an entry at hand is not taken for another that a set-back database gave its number to", async (t) => {
    const url = newUrl();
    const [one, two] = [await openMysql(t, url), await openMysql(t, url)];
    const key = keyOf(unique());
    await putOne(one, key, "first");
    await putOne(one, key, "lost");
    // What a failover to a replica that lacks the last commit does.
    const connection = await connectTo(t, server.url);
    const [heads, versions] = [`${prefixOf(url)}_heads`, `${prefixOf(url)}_versions`];
    await connection.query(
      `DELETE FROM ${versions} WHERE version = 2; UPDATE ${heads} SET version = 1, stamp = 'replica1'`,
    );
    assert.equal(textOf(await readEntry(one, key)), "first");
    assert.equal((await putOne(two, key, "other")).version, 2);
    assert.equal(textOf(await readEntry(one, key)), "other");
  });

  test("whoever writes into an answer changes nobody else's", async (t) => {
    const store = await openMysql(t, newUrl());
    const key = keyOf(unique());
    const value = Buffer.from("value");
    committed(await commit(store, { puts: [put(key, value)] }));
    value.fill("x");
    const first = await readEntry(store, key);
    assert.equal(textOf(first), "value");
    first.value?.fill(120);
    assert.equal(textOf(await readEntry(store, key)), "value");
  });

  test("the same key may be asked for with and without its value, known or not", async (t) => {
    const url = newUrl();
    const [one, two] = [await openMysql(t, url), await openMysql(t, url)];
    const keys = Array.from({ length: 20 }, () => keyOf(unique()));
    await putKeys(one, keys.slice(0, 15));
    for (const store of [one, two]) {
      for (let round = 0; round < 3; round += 1) {
        const queries = keys.flatMap((key) =>
          [true, false, true].map((value) => ({ key, select: "latest" as const, value })),
        );
        const results = await store.read(queries);
        results.forEach((result, index) => {
          const place = Math.floor(index / 3);
          if (place >= 15) assert.equal(result, undefined);
          else {
            assert.ok(typeof result === "object" && result.version === round + 1);
            assert.equal(result.value !== undefined, index % 3 !== 1);
          }
        });
        await putKeys(two, keys.slice(0, 15));
      }
      await commit(two, { deletes: keys.slice(0, 15) });
      await putKeys(one, keys.slice(0, 15));
    }
  });
}
