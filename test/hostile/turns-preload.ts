import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { isMainThread } from "node:worker_threads";

import type { TurnsReport } from "./turns.ts";

/**
 * Loaded into the server that is attacked, before anything of it: tells whoever connects to a socket how
 * much processor time each turn of its event loop took. A timer that is always due is called once in
 * each turn; other threads are let be. Processor time and not time, so that other work on the
 * machine counts for nothing.
 */
const path = process.env["HOSTILE_TURNS"];

if (path !== undefined && isMainThread) {
  let startedAt = performance.now();
  let turnsMs: number[] = [];
  let usedMs = threadMs();
  setInterval(() => {
    const nowMs = threadMs();
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

function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
