import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import { keyOf, putOne, unique } from "../../src/conformance/build.ts";
import { Executor } from "../../src/stores/redis/executor.ts";
import { parseRedisUrl } from "../../src/stores/redis/options.ts";
import { Topology } from "../../src/stores/redis/topology.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { silentLog } from "../../src/telemetry/log.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startRedis } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { Proxy } from "./lossy-proxy.ts";
import { openRedis } from "./redis-support.ts";
import { failsWith, outageOf, PATIENCE_MS } from "./support.ts";

/** Longer than the trouble of a slot is hidden, and shorter than the deadline. */
const STANDSTILL_MS = 5_000;
const DEADLINE_MS = 60_000;

if (isSelected("redis")) {
  const server = await startRedis();
  after(() => server.stop());

  /** A connected executor, and a clock that `standStill` moves on while it waits for another attempt. */
  const startExecutor = async (t: TestContext) => {
    const topology = new Topology({
      redis: parseRedisUrl(server.url),
      store: {
        clock: systemClock,
        log: silentLog,
        timeoutMs: PATIENCE_MS,
        connectTimeoutMs: PATIENCE_MS,
      },
    });
    t.after(() => topology.close());
    await topology.connect(systemClock.monotonic() + PATIENCE_MS);
    let now = 0;
    return {
      executor: new Executor(topology, { ...systemClock, monotonic: () => now }),
      // It waits for 10 ms at least, so that this timer is the first.
      standStill: (ms: number): void => void setTimeout(() => (now += ms), 1),
    };
  };

  test("a call is made again after a standstill of this process that hid that Redis is back", async (t) => {
    const { executor, standStill } = await startExecutor(t);
    let attempts = 0;
    const reply = await executor.run({
      slot: 0,
      kind: "read",
      deadline: DEADLINE_MS,
      attempt: async () => {
        attempts += 1;
        if (attempts === 1) standStill(STANDSTILL_MS);
        if (attempts < 3) throw new Error("the connection was lost");
        return "there";
      },
    });
    assert.equal(reply, "there");
  });

  test("a write is not made again after a standstill that outlasts its deadline", async (t) => {
    const { executor, standStill } = await startExecutor(t);
    let attempts = 0;
    const writing = executor.run({
      slot: 0,
      kind: "write",
      deadline: DEADLINE_MS,
      attempt: async () => {
        attempts += 1;
        standStill(DEADLINE_MS + 1);
        throw new Error("the connection was lost");
      },
    });
    await assert.rejects(writing, failsWith("outcome_unknown", "unknown"));
    assert.equal(attempts, 1);
  });

  test("a store that is told twice to close while a call is under way closes for both", async (t) => {
    const proxy = await Proxy.start(t, freshUrls(server)());
    const store = await openRedis(t, proxy.url, { timeoutMs: 1000 });
    proxy.decide = () => "swallow";
    const writing = putOne(store, keyOf(unique()), "value");
    const closing = [store.close(), store.close()];
    await assert.rejects(writing, (error) => Boolean(outageOf(error)));
    await Promise.all(closing);
  });
}
