import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { keyOf, putOne, unique } from "../../src/conformance/build.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { waitUntil } from "../servers/process.ts";
import { command, startOwnRedis, type RedisServer } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { openRedis } from "./redis-support.ts";
import { failsWith } from "./support.ts";

async function startPair(
  t: TestContext,
): Promise<{ readonly primary: RedisServer; readonly replica: RedisServer }> {
  const [primary, replica] = [await startOwnRedis(), await startOwnRedis()];
  t.after(() => Promise.all([primary.stop(), replica.stop()]));
  return { primary, replica };
}

async function attach(primary: RedisServer, replica: RedisServer, state: string): Promise<void> {
  await command(replica.port, `REPLICAOF 127.0.0.1 ${primary.port}`);
  await waitUntil("a replica", async () =>
    (await command(primary.port, "INFO replication")).includes(`state=${state}`),
  );
}

if (isSelected("redis")) {
  test("a replica that is still being sent everything holds up no write", async (t) => {
    const { primary, replica } = await startPair(t);
    // It is not even begun with before that has passed.
    await command(primary.port, "CONFIG SET repl-diskless-sync-delay 3600");
    await attach(primary, replica, "wait_bgsave");
    const store = await openRedis(t, primary.url, { timeoutMs: 2000 });
    assert.equal((await putOne(store, keyOf(unique()), "value")).version, 1);
  });

  test("a replica that has come meanwhile confirms the very next write", async (t) => {
    const { primary, replica } = await startPair(t);
    let laterMs = 0;
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + laterMs };
    const store = await openRedis(t, primary.url, { timeoutMs: 2000, clock });
    const key = keyOf(unique());
    await putOne(store, key, "confirmed by nobody");
    await attach(primary, replica, "online");
    replica.signal("SIGSTOP");
    laterMs = 10_000;
    await assert.rejects(putOne(store, key, "next"), failsWith("outcome_unknown", "unknown"));
    replica.signal("SIGCONT");
  });
}
