import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  deleteOne,
  keyOf,
  putOne,
  readEntry,
  readOne,
  textOf,
  unique,
} from "../../src/conformance/build.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startRedis } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { Proxy } from "./lossy-proxy.ts";
import { openPatiently } from "./redis-support.ts";

if (isSelected("redis")) {
  const server = await startRedis();
  after(() => server.stop());
  const newUrl = freshUrls(server);

  test("a key that is read again and again is seen as it is now, whoever changed it", async (t) => {
    const url = newUrl();
    const [reader, writer] = [await openPatiently(t, url), await openPatiently(t, url)];
    const key = keyOf(unique());
    const read = async (): Promise<string | undefined> => textOf(await readEntry(reader, key));
    assert.equal(await readOne(reader, key), undefined);
    for (const large of ["", "x".repeat(3000)]) {
      for (let version = 1; version <= 3; version += 1) {
        const value = `${version} ${large}`;
        assert.equal((await putOne(writer, key, value)).version, version);
        for (let time = 0; time < 3; time += 1) assert.equal(await read(), value);
      }
      await deleteOne(writer, key);
      assert.equal(await readOne(reader, key), undefined);
      // The same version as the last one seen, of another life.
      for (const value of ["a", "b", "c"]) await putOne(writer, key, value);
      assert.equal(await read(), "c");
      await deleteOne(writer, key);
    }
  });

  test("a key that did not change since it was read is read without a script", async (t) => {
    const proxy = await Proxy.start(t, newUrl());
    const store = await openPatiently(t, proxy.url);
    const key = keyOf(unique());
    await putOne(store, key, "value");
    await readOne(store, key);
    const sent: string[] = [];
    proxy.decide = (piece) => {
      sent.push(piece.toString("latin1"));
      return "pass";
    };
    assert.equal(textOf(await readEntry(store, key)), "value");
    assert.ok(sent.some((piece) => piece.includes("HMGET")));
    assert.ok(!sent.some((piece) => piece.includes("EVALSHA")));
  });
}
