import { setTimeout as sleep } from "node:timers/promises";
import { usageOf } from "./usage.ts";

/** Over this time nothing much may have been done, in milliseconds. */
const LOOK_MS = 200;

/** Of one processor, at most this share may be in use for what the run has started to be at rest. */
const BUSY_SHARE_MAX = 0.15;

/** What does not come to rest is measured as it is after this long, unless told otherwise. */
const PATIENCE_MS = 20_000;

/**
 * Waits until a process and all that it has started have come to rest, so that what a back end leaves
 * for later (a checkpoint, a purge, a rewrite of its log) does not fall on whoever is measured next.
 * Answers the milliseconds that it took.
 */
export async function waitForRest(pid: number, patienceMs = PATIENCE_MS): Promise<number> {
  const startedAt = performance.now();
  let before = await usageOf(pid);
  while (performance.now() - startedAt < patienceMs) {
    const lookedAt = performance.now();
    await sleep(LOOK_MS);
    const now = await usageOf(pid);
    const busyMs = (now.cpuUs - before.cpuUs) / 1_000;
    if (busyMs <= BUSY_SHARE_MAX * (performance.now() - lookedAt)) break;
    before = now;
  }
  return performance.now() - startedAt;
}
