import type { TestContext } from "node:test";
import { createClient } from "redis";
import type { Key } from "../../src/key.ts";
import type { Store, StoreOptions } from "../../src/store.ts";
import { open } from "../../src/stores/redis/store.ts";
import { systemClock, type Clock } from "../../src/telemetry/clock.ts";
import { silentLog } from "../../src/telemetry/log.ts";
import { PATIENCE_MS } from "./support.ts";

/** Opens a store that is closed with the test, also where the test fails. */
export async function openRedis(
  test: TestContext,
  url: string,
  more: Partial<StoreOptions> = {},
): Promise<Store> {
  const store = await open(url, {
    clock: systemClock,
    log: silentLog,
    timeoutMs: PATIENCE_MS,
    connectTimeoutMs: PATIENCE_MS,
    ...more,
  });
  test.after(() => store.close());
  return store;
}

/**
 * Runs at a twentieth of the speed. With it a store waits for a Redis that a busy machine holds up for
 * seconds, and calls still end when their time is over: for tests that are not about outages.
 */
export const slowClock: Clock = {
  ...systemClock,
  monotonic: () => systemClock.monotonic() / 20,
};

/** As {@link openRedis}, with a clock that has patience. */
export function openPatiently(
  test: TestContext,
  url: string,
  more: Partial<StoreOptions> = {},
): Promise<Store> {
  return openRedis(test, url, { clock: slowClock, ...more });
}

/** A log, and a clock that stands still until a store that logs to it has failed to connect. */
export function startWithFirstFailure(): Pick<StoreOptions, "clock" | "log"> {
  let failedAt: number | undefined;
  const passedMs = (): number => (failedAt === undefined ? 0 : systemClock.monotonic() - failedAt);
  return {
    clock: { ...systemClock, monotonic: passedMs },
    log: { ...silentLog, warn: () => (failedAt ??= systemClock.monotonic()) },
  };
}

/** Sends one command past the store, to look at what it keeps or to get in its way. */
export async function redisCommand(url: string, ...args: readonly string[]): Promise<unknown> {
  const { hostname, port, username, password } = new URL(url);
  const client = createClient({
    RESP: 2,
    ...(password === "" ? {} : { username: username || "default", password }),
    socket: {
      host: hostname,
      port: Number(port),
      connectTimeout: PATIENCE_MS,
      reconnectStrategy: false,
    },
  });
  client.on("error", () => {});
  await client.connect();
  try {
    return await client.sendCommand(args);
  } finally {
    client.destroy();
  }
}

/** The prefix of a store's names. */
export function prefixOf(url: string): string {
  return new URL(url).searchParams.get("prefix") ?? "vss";
}

/** All versions of a key, oldest first. */
export async function versionsOf(store: Store, key: Key): Promise<readonly number[]> {
  const versions: number[] = [];
  for (;;) {
    const after = versions.at(-1) ?? 0;
    const page = await store.history(key, { order: "oldest-first", after, limit: 1000 });
    versions.push(...page.map(({ version }) => version));
    if (page.length < 1000) return versions;
  }
}

/** 1 to n. */
export function upTo(n: number): readonly number[] {
  return Array.from({ length: n }, (_, i) => i + 1);
}
