import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  at,
  committed,
  keyOf,
  put,
  putKeys,
  putOne,
  readEntry,
  textOf,
  transaction,
  unique,
} from "../../src/conformance/build.ts";
import type { Change } from "../../src/store.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { isSelected } from "../servers/selection.ts";
import { Proxy } from "./lossy-proxy.ts";
import { openMysql } from "./mysql-support.ts";

if (isSelected("mariadb")) {
  const server = await startMariadb();
  after(() => server.stop());
  const newUrl = freshUrls(server);

  /** What a store sends, piece by piece, as text. */
  const startRecorded = async (
    t: Parameters<typeof Proxy.start>[0],
    url: string,
  ): Promise<{ readonly url: string; readonly taken: () => readonly string[] }> => {
    const proxy = await Proxy.start(t, url);
    let pieces: string[] = [];
    proxy.decide = (piece) => {
      pieces.push(piece.toString("latin1"));
      return "pass";
    };
    const taken = (): readonly string[] => {
      const all = pieces;
      pieces = [];
      return all;
    };
    return { url: proxy.url, taken };
  };

  test("four stores that write the same keys lose nothing, repeat nothing and refuse nothing", async (t) => {
    const url = newUrl();
    const stores = await Promise.all(Array.from({ length: 4 }, () => openMysql(t, url)));
    const keys = Array.from({ length: 40 }, () => keyOf(unique()));
    await putKeys(at(stores, 0), keys);
    const values = new Map<string, string>();
    const counts = new Map(keys.map((key) => [key, 1]));
    await Promise.all(
      stores.map(async (store, i) => {
        for (let round = 0; round < 40; round += 1) {
          // Every store has an order of its own, and some keys stand more than once in a batch.
          const writes = keys
            .filter((_, place) => (place * (round + i + 3)) % 5 < 2)
            .toSorted(() => ((round + i) % 3) - 1)
            .flatMap((key, place) => (place % 7 === 0 ? [key, key] : [key]))
            .map((key) => ({ key, value: unique() }));
          const outcomes = await store.commit(
            writes.map(({ key, value }) => transaction({ puts: [put(key, value)] })),
          );
          writes.forEach(({ key, value }, place) => {
            const version = committed(at(outcomes, place)).puts[0]?.version ?? 0;
            assert.ok(!values.has(`${key} ${version}`), "a version is given once");
            values.set(`${key} ${version}`, value);
            counts.set(key, (counts.get(key) ?? 0) + 1);
          });
        }
      }),
    );
    const fresh = await openMysql(t, url);
    for (const key of keys) {
      const count = counts.get(key) ?? 0;
      const page = { order: "oldest-first", after: 0, limit: 1_000 } as const;
      const history = await fresh.history(key, page);
      const dense = Array.from({ length: count }, (_, index) => index + 1);
      assert.deepEqual(
        history.map(({ version }) => version),
        dense,
      );
    }
    for (const [name, value] of values) {
      const [key = "", version] = name.split(" ");
      const entry = await readEntry(fresh, keyOf(key), { version: Number(version) });
      assert.equal(textOf(entry), value, `the value of ${name}`);
    }
    const end = new AbortController();
    const changes: Change[] = [];
    for await (const batch of fresh.changes(
      Array.from({ length: 16 }, () => ""),
      end.signal,
    )) {
      changes.push(...batch.changes);
      if (batch.caughtUp) end.abort();
    }
    for (const key of keys) {
      const seen = changes.filter((change) => change.key === key).map(({ version }) => version);
      assert.deepEqual(
        seen,
        Array.from({ length: counts.get(key) ?? 0 }, (_, index) => index + 1),
      );
    }
  });

  test("a wrong guess costs two more round trips", async (t) => {
    const url = newUrl();
    const recorded = await startRecorded(t, url);
    const [store, rival] = [await openMysql(t, recorded.url), await openMysql(t, url)];
    const key = keyOf(unique());
    await putOne(store, key, "first");
    await putOne(rival, key, "second");
    recorded.taken();
    assert.equal((await putOne(store, key, "third")).version, 3);
    const pieces = recorded.taken();
    assert.equal(pieces.length, 3, pieces.join("\n"));
    assert.match(at(pieces, 1), /ROLLBACK;START TRANSACTION;.*FOR UPDATE/);
    assert.match(at(pieces, 2), /;COMMIT$/);
    recorded.taken();
    assert.equal((await putOne(store, key, "fourth")).version, 4);
    assert.equal(recorded.taken().length, 1, "one wrong guess alone says little");
  });

  test("guesses are left while another store writes the same keys, and come back after it", async (t) => {
    const url = newUrl();
    const recorded = await startRecorded(t, url);
    const [store, rival] = [await openMysql(t, recorded.url), await openMysql(t, url)];
    const keys = Array.from({ length: 10 }, () => keyOf(unique()));
    for (let round = 0; round < 4; round += 1) {
      await putKeys(store, keys);
      await putKeys(rival, keys);
    }
    recorded.taken();
    await putKeys(store, keys);
    const contended = recorded.taken();
    assert.equal(contended.length, 2, "locked and written without a guess");
    assert.match(at(contended, 0), /FOR UPDATE/);
    let rounds = 0;
    do {
      await putKeys(store, keys);
      rounds += 1;
      assert.ok(rounds < 20, "guesses have come back");
    } while (recorded.taken().length > 1);
    assert.equal((await readEntry(rival, at(keys, 0))).version, 9 + rounds);
  });

  test("a lost answer after a wrong guess is found out, and the write made once", async (t) => {
    const url = newUrl();
    const proxy = await Proxy.start(t, url);
    const rival = await openMysql(t, url);
    for (const verdict of ["cut", "cut-answer", "cut-and-pass-late"] as const) {
      // One that has guessed wrong before would not guess.
      const store = await openMysql(t, proxy.url);
      const key = keyOf(unique());
      await putOne(store, key, "first");
      await putOne(rival, key, "second");
      let commits = 0;
      proxy.decide = (piece) => {
        if (piece.includes(";COMMIT")) commits += 1;
        return piece.includes(";COMMIT") && commits === 2 ? verdict : "pass";
      };
      assert.equal((await putOne(store, key, "third")).version, 3);
      assert.ok(commits >= 2, "a guess, and what followed it");
      assert.equal((await putOne(rival, key, "fourth")).version, 4);
      assert.equal(textOf(await readEntry(store, key, { version: 3 })), "third");
      proxy.decide = () => "pass";
    }
  });
}
