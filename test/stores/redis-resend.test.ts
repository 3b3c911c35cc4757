import assert from "node:assert/strict";
import { after, test } from "node:test";
import { keyOf, putOne, unique } from "../../src/conformance/build.ts";
import { COMMIT_ID_TTL_MS } from "../../src/limits.ts";
import { PUT_SCRIPT } from "../../src/stores/redis/put-script.ts";
import { partitionNames } from "../../src/stores/redis/schema.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { waitUntil } from "../servers/process.ts";
import { startRedis } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { Proxy } from "./lossy-proxy.ts";
import { openRedis, prefixOf, redisCommand, versionsOf } from "./redis-support.ts";
import { failsWith } from "./support.ts";

if (isSelected("redis")) {
  const server = await startRedis();
  after(() => server.stop());
  const newUrl = freshUrls(server);

  test("a commit is not sent again once its number may be forgotten, however long it may take", async (t) => {
    const url = newUrl();
    const proxy = await Proxy.start(t, url);
    let passedMs = 0;
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + passedMs };
    const store = await openRedis(t, proxy.url, { clock, timeoutMs: 3_600_000 });
    const direct = await openRedis(t, url);
    const key = keyOf(unique());
    await putOne(store, key, "first");

    let isLost = false;
    proxy.decide = (piece) => {
      if (isLost) return "cut";
      isLost = piece.includes(PUT_SCRIPT.sha);
      return isLost ? "cut-answer" : "pass";
    };
    const writing = putOne(store, key, "second");
    writing.catch(() => {});
    await waitUntil("the write", async () => (await versionsOf(direct, key)).length === 2);
    // Redis is out of reach until it has forgotten the commit.
    passedMs = COMMIT_ID_TTL_MS + 1_000;
    const names = `${partitionNames(prefixOf(url), 0).writer}*`;
    const writers = (await redisCommand(url, "KEYS", names)) as readonly string[];
    await redisCommand(url, "DEL", ...writers.map(String));
    proxy.decide = () => "pass";
    await assert.rejects(writing, failsWith("outcome_unknown", "unknown"));
    assert.deepEqual(await versionsOf(direct, key), [1, 2]);
  });
}
