import assert from "node:assert/strict";
import { after, test } from "node:test";
import { keyOf, putOne, readEntry, readOne, unique } from "../../src/conformance/build.ts";
import { COMMIT_ID_TTL_MS } from "../../src/limits.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { waitUntil } from "../servers/process.ts";
import { isSelected } from "../servers/selection.ts";
import { Proxy } from "./lossy-proxy.ts";
import { connectTo, openMysql, prefixOf } from "./mysql-support.ts";
import { failsWith } from "./support.ts";

if (isSelected("mariadb")) {
  const server = await startMariadb();
  after(() => server.stop());

  test("a commit is not sent again once its id may be forgotten, however long it may take", async (t) => {
    const url = freshUrls(server)();
    const proxy = await Proxy.start(t, url);
    let passedMs = 0;
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + passedMs };
    const store = await openMysql(t, proxy.url, { clock, timeoutMs: 3_600_000 });
    const direct = await openMysql(t, url);
    const key = keyOf(unique());
    await putOne(store, key, "first");

    let isLost = false;
    proxy.decide = (piece) => {
      if (isLost) return "cut";
      isLost = piece.includes(";COMMIT");
      return isLost ? "cut-answer" : "pass";
    };
    const writing = putOne(store, key, "second");
    writing.catch(() => {});
    await waitUntil("the write", async () => (await readEntry(direct, key)).version === 2);
    // The database is out of reach until it has forgotten the commit.
    passedMs = COMMIT_ID_TTL_MS + 1_000;
    const connection = await connectTo(t, url);
    await connection.query(`DELETE FROM ${prefixOf(url)}_commits`);
    proxy.decide = () => "pass";
    await assert.rejects(writing, failsWith("outcome_unknown", "unknown"));
    assert.equal((await readEntry(direct, key)).version, 2);
  });

  test("a commit whose time runs out between its round trips is not sent", async (t) => {
    const url = freshUrls(server)();
    const proxy = await Proxy.start(t, url);
    let passedMs = 0;
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + passedMs };
    const store = await openMysql(t, proxy.url, { clock });
    const direct = await openMysql(t, url);
    const key = keyOf(unique());
    let commits = 0;
    proxy.decide = (piece) => {
      // The process stands still after it has asked for its locks.
      if (piece.includes("FOR UPDATE")) passedMs = COMMIT_ID_TTL_MS + 1_000;
      if (piece.includes(";COMMIT")) commits += 1;
      return "pass";
    };
    await assert.rejects(putOne(store, key, "late"), failsWith("store_unavailable"));
    assert.equal(commits, 0);
    assert.equal(await readOne(direct, key), undefined);
  });
}
