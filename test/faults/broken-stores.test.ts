import assert from "node:assert/strict";
import { test } from "node:test";

import { createServer } from "../../src/http/server.ts";
import { VersionedState } from "../../src/index.ts";
import type { Store } from "../../src/store.ts";
import { openStore } from "../../src/stores/index.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { silentLog } from "../../src/telemetry/log.ts";
import { torture, type TortureResult } from "../../src/torture/run.ts";
import { BROKEN_STORES, SOUND_STORES, type BrokenStore } from "./broken-stores.ts";

const OPTIONS = {
  clock: systemClock,
  log: silentLog,
  timeoutMs: 60_000,
  connectTimeoutMs: 60_000,
  maxValueBytes: 1_000_000,
  feedRetentionMs: 3_600_000,
  retention: [],
};

interface TortureShape {
  readonly seed: number;
  /** How many calls there are at least: as many as it takes, not as many as a while allows. */
  readonly calls?: number;
  readonly settleMs?: number;
}

/** Tortures two servers over one memory store, each of which spoils it on its own. */
async function tortureOver(
  spoil: BrokenStore["spoil"],
  { seed, calls = 300, settleMs = 2_000 }: TortureShape,
): Promise<TortureResult> {
  const inner = await openStore("memory:", OPTIONS);
  const servers = await Promise.all([serve(spoil(inner)), serve(spoil(inner))]);
  let left = calls;
  const { promise: until, resolve } = Promise.withResolvers<void>();
  try {
    return await torture({
      servers: servers.map(({ url }) => url),
      seed,
      seconds: 0,
      clients: 8,
      hotKeys: 2,
      coldKeys: 8,
      hasFeed: true,
      callTimeoutMs: 60_000,
      pauseMs: 0,
      settleMs,
      onCall: () => {
        left -= 1;
        if (left === 0) resolve();
      },
      until,
    });
  } finally {
    await Promise.all(servers.map(({ close }) => close()));
  }
}

async function serve(store: Store): Promise<{ url: string; close: () => Promise<void> }> {
  const state = new VersionedState(store, OPTIONS);
  const server = await createServer(state);
  const { port } = await server.listen({ port: 0 });
  const close = async (): Promise<void> => {
    await server.close(100);
    await state.close();
  };
  return { url: `http://127.0.0.1:${port}`, close };
}

for (const { manner, spoil } of SOUND_STORES) {
  test(`a sound store is not blamed, ${manner}`, async () => {
    const { violations, acknowledged } = await tortureOver(spoil, { seed: 1, settleMs: 60_000 });
    assert.deepEqual(violations, []);
    assert.ok(acknowledged > 20, `${acknowledged} calls were acknowledged`);
  });
}

for (const { mistake, found, spoil } of BROKEN_STORES) {
  test(`torture catches a store that ${mistake}`, async () => {
    // The budget: a mistake that three runs do not show, each longer than the last, counts as unnoticed.
    for (const seed of [1, 2, 3]) {
      const { violations } = await tortureOver(spoil, { seed, calls: 300 * seed ** 2 });
      const kinds = new Set(violations.map(({ kind }) => kind));
      if (found.some((kind) => kinds.has(kind))) return;
    }
    assert.fail("it went unnoticed");
  });
}
