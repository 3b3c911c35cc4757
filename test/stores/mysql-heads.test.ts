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
  transaction,
  unique,
} from "../../src/conformance/build.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { isSelected } from "../servers/selection.ts";
import { openMysql } from "./mysql-support.ts";

if (isSelected("mariadb")) {
  const server = await startMariadb();
  after(() => server.stop());
  const newUrl = freshUrls(server);

  test("keys of any bytes move on by any number of versions in one batch", async (t) => {
    const url = newUrl();
    const [one, two] = [await openMysql(t, url), await openMysql(t, url)];
    const odd = ["it's", "back\\slash", "new\nline", "ключ", "😀", "a ", "A", "a", "x".repeat(512)];
    const keys = [...odd, ...Array.from({ length: 40 }, (_, i) => `k${i}`)].map(keyOf);
    await putKeys(one, keys);
    const expected = new Map(keys.map((key) => [key, 1]));
    for (let round = 0; round < 3; round += 1) {
      const writes = keys.flatMap((key, i) => Array.from({ length: 1 + (i % 4) }, () => key));
      const batch = writes.map((key) => transaction({ puts: [put(key, unique())] }));
      const outcomes = await one.commit(batch);
      writes.forEach((key, i) => {
        const version = (expected.get(key) ?? 0) + 1;
        expected.set(key, version);
        assert.equal(committed(at(outcomes, i)).puts[0]?.version, version);
      });
    }
    for (const key of keys) {
      assert.equal((await readEntry(two, key)).version, expected.get(key));
    }
    const listed = await two.keys({ from: "", to: undefined, limit: 100 });
    assert.deepEqual(new Map(listed.map(({ key, version }) => [key, version])), expected);
  });

  test("a head is not confirmed by what is remembered of another key", async (t) => {
    const url = newUrl();
    const [one, two] = [await openMysql(t, url), await openMysql(t, url)];
    const [a, b] = [keyOf(unique()), keyOf(unique())];
    await putOne(one, a, "first");
    await putOne(one, b, "first");
    await putKeys(two, [a, b]);
    // Store one now knows of `b` what the same commit has made of `a`, and of `a` what it was before.
    await readEntry(one, b);
    const outcomes = await one.commit([a, b].map((key) => transaction({ puts: [put(key, "3")] })));
    assert.deepEqual(
      outcomes.map((outcome) => committed(outcome).puts[0]?.version),
      [3, 3],
    );
    for (const key of [a, b]) {
      const history = await two.history(key, { order: "oldest-first", after: 0, limit: 9 });
      assert.deepEqual(
        history.map(({ version }) => version),
        [1, 2, 3],
      );
    }
  });

  test("a head keeps the time of its latest entry where clocks differ", async (t) => {
    const url = newUrl();
    const clock = { ...systemClock, now: () => systemClock.now() + 3_600_000 };
    const [ahead, behind] = [await openMysql(t, url, { clock }), await openMysql(t, url)];
    const key = keyOf(unique());
    const first = await putOne(ahead, key, "1");
    await readEntry(behind, key);
    const second = await putOne(behind, key, "2");
    assert.equal(second.createdAt, first.createdAt);
    const third = await putOne(ahead, key, "3");
    assert.ok(third.createdAt >= second.createdAt);
    const fresh = await openMysql(t, url);
    const fourth = await putOne(fresh, key, "4");
    assert.ok(fourth.createdAt >= third.createdAt);
  });
}
