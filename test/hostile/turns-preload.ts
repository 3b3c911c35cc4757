import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { performance } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

import type { TurnsReport } from "./turns.ts";

/**
 * Loaded into the server that is attacked, before anything of it: tells whoever connects to a socket how
 * long each turn of its event loop took, without its wait for something to do. A timer that is always
 * due is called once in each turn; other threads are let be. Time and not processor time, which the
 * kernel counts for a thread that is running at its ticks alone, 4 ms apart.
 */
const path = process.env["HOSTILE_TURNS"];

if (path !== undefined && isMainThread) {
  let startedAt = performance.now();
  let turnsMs: number[] = [];
  let usedMs = activeMs();
  setInterval(() => {
    const nowMs = activeMs();
    turnsMs.push(nowMs - usedMs);
    usedMs = nowMs;
  }, 1).unref();
  const server = createServer((socket) => {
    const now = performance.now();
    const report: TurnsReport = { turnsMs, windowMs: now - startedAt };
    socket.end(JSON.stringify(report));
    turnsMs = [];
    startedAt = now;
  });
  // A server starts itself anew with other options, and has left the socket of its first start.
  rmSync(path, { force: true });
  server.listen(path).unref();
}

function activeMs(): number {
  return performance.eventLoopUtilization().active;
}
