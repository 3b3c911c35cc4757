import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import { keyOf, putMany, putOne, unique } from "../../src/conformance/build.ts";
import type { ChangeBatch, Cursor, Store } from "../../src/store.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startOwnRedis, startRedis, type RedisServer } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { openPatiently, redisCommand } from "./redis-support.ts";
import { failsWith, PATIENCE_MS, untilDone } from "./support.ts";

type Next = IteratorResult<ChangeBatch, void>;

/** Follows a feed; what comes first has come. */
async function follow(
  store: Store,
  from: Cursor | "now",
): Promise<{ readonly cursor: Cursor; next(): Promise<Next> }> {
  const changes = store.changes(from, AbortSignal.timeout(PATIENCE_MS));
  const batches = changes[Symbol.asyncIterator]() as AsyncIterator<ChangeBatch, void>;
  const { value } = await batches.next();
  assert.ok(value !== undefined);
  return { cursor: value.cursor, next: async () => batches.next() };
}

async function startFor(t: TestContext, args: readonly string[] = []): Promise<RedisServer> {
  const own = await startOwnRedis({ args });
  t.after(() => own.stop());
  return own;
}

if (isSelected("redis")) {
  const server = await startRedis();
  after(() => server.stop());
  const newUrl = freshUrls(server);

  test("a position that this feed never gave is refused, and nobody waits for it", async (t) => {
    const store = await openPatiently(t, newUrl());
    for (const position of ["-", ".", "bad", "zzzzzzzzzzz", "00000000000-", "0000000000000"]) {
      const stop = AbortSignal.timeout(PATIENCE_MS);
      const batches = store.changes([position], stop)[Symbol.asyncIterator]();
      await assert.rejects(batches.next(), failsWith("cursor_expired"), position);
    }
  });

  test("a position as it was before it had a mark is taken, and gets one", async (t) => {
    const store = await openPatiently(t, newUrl());
    const key = keyOf(unique());
    await putMany(store, key, 3);
    const { cursor } = await follow(store, ["00000000002"]);
    assert.match(String(cursor), /^00000000003[0-9a-f]{8}$/);
    const again = await follow(store, ["00000000003"]);
    assert.deepEqual(again.cursor, cursor);
  });

  test("who follows a feed whose end was lost is told, before others get its numbers", async (t) => {
    const own = await startFor(t, ["--appendonly", "no"]);
    const store = await openPatiently(t, own.url);
    await putMany(store, keyOf(unique()), 3);
    await redisCommand(own.url, "SAVE");
    await putMany(store, keyOf(unique()), 3);
    // The one has read what is lost, the other nothing at all.
    const [reader, fresh] = [await follow(store, [""]), await follow(store, "now")];
    const waiting = [reader.next(), fresh.next()];
    for (const next of waiting) next.catch(() => {});
    own.signal("SIGKILL");
    await own.restart();
    const writer = await openPatiently(t, own.url);
    const key = keyOf(unique());
    await Promise.all(Array.from({ length: 8 }, (_, i) => putOne(writer, key, `${i}`)));
    for (const next of waiting) await assert.rejects(next, failsWith("cursor_expired"));
    for (const { cursor } of [reader, fresh]) {
      const batches = writer.changes(cursor, AbortSignal.timeout(PATIENCE_MS));
      await assert.rejects(batches[Symbol.asyncIterator]().next(), failsWith("cursor_expired"));
    }
  });

  test("who follows a feed that begins anew is told, though no connection was lost", async (t) => {
    const own = await startFor(t);
    const [store, writer] = [await openPatiently(t, own.url), await openPatiently(t, own.url)];
    const key = keyOf(unique());
    await putMany(writer, key, 3);
    const { cursor } = await follow(store, [""]);
    // Nobody reads in between.
    await redisCommand(own.url, "FLUSHALL");
    for (let n = 0; n < 6; n += 1) await untilDone("a write", () => putOne(writer, key, `${n}`));
    const batches = store.changes(cursor, AbortSignal.timeout(PATIENCE_MS));
    await assert.rejects(batches[Symbol.asyncIterator]().next(), failsWith("cursor_expired"));
  });

  test("a feed that its user may not read ends in an error", async (t) => {
    const own = await startFor(t);
    const store = await openPatiently(t, own.url);
    await putOne(store, keyOf(unique()), "value");
    await redisCommand(own.url, "ACL", "SETUSER", "default", "-xrange", "-xrevrange");
    for (const from of ["now", [""]] as const) {
      const batches = store.changes(from, AbortSignal.timeout(PATIENCE_MS));
      // Inside of a script Redis has no code for it, and its text goes to the log.
      await assert.rejects(
        batches[Symbol.asyncIterator]().next(),
        failsWith("internal", "unknown"),
      );
    }
  });
}
