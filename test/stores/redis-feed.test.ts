import assert from "node:assert/strict";
import { after, test } from "node:test";
import { freshUrls } from "../servers/fresh-url.ts";
import { startRedis } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { openPatiently } from "./redis-support.ts";
import { failsWith, PATIENCE_MS } from "./support.ts";

if (isSelected("redis")) {
  const server = await startRedis();
  after(() => server.stop());
  const newUrl = freshUrls(server);

  test("a position that this feed never gave is refused, and nobody waits for it", async (t) => {
    const store = await openPatiently(t, newUrl());
    for (const position of ["-", ".", "bad", "zzzzzzzzzzz"]) {
      const stop = AbortSignal.timeout(PATIENCE_MS);
      const batches = store.changes([position], stop)[Symbol.asyncIterator]();
      await assert.rejects(batches.next(), failsWith("cursor_expired"), position);
    }
  });
}
