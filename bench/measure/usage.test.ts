import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { waitUntil } from "../../test/servers/process.ts";
import { peakOf, resetPeak, startedCpuUs, ticksOf, usageOf } from "./usage.ts";

test("a process name with blanks and brackets does not shift the fields", () => {
  const stat = `7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 140 25 3 4 20 0 11`;
  assert.equal(ticksOf(stat, [11, 12]), 165);
});

test("the peak is read in bytes, and its absence is an error", () => {
  assert.equal(peakOf("VmPeak:\t 9 kB\nVmHWM:\t   2048 kB\nVmRSS:\t 1 kB\n"), 2 * 1024 * 1024);
  assert.throws(() => peakOf("VmPeak:\t 9 kB\n"), /VmHWM/);
});

test("this process uses time and memory, and its peak can start over", async () => {
  const started = performance.now();
  while (performance.now() - started < 60) Math.sqrt(started);
  await resetPeak(process.pid);
  const usage = await usageOf(process.pid);
  assert.ok(usage.cpuUs > 0);
  assert.ok(usage.peakBytes > 10 * 1024 * 1024);
});

test("what a process has started counts, and so does what that has started", async () => {
  const start = (script: string): string =>
    `require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(script)}])`;
  const busy = "for (const end = performance.now() + 60_000; performance.now() < end;);";
  const { pid = 0 } = spawn(process.execPath, ["-e", start(start(busy))], { detached: true });
  try {
    // More than the two others need to start.
    await waitUntil("a grandchild's time", async () => (await usageOf(pid)).cpuUs > 3_000_000);
  } finally {
    process.kill(-pid, "SIGKILL");
  }
});

test("what a child has started still counts when it has ended, and the process itself never", async () => {
  const busy = "for (const end = performance.now() + 500; performance.now() < end;);";
  const script = `require("node:child_process").spawnSync(process.execPath, ["-e", ${JSON.stringify(busy)}]);
    console.log("ended"); setInterval(() => {}, 1_000);`;
  const child = spawn(process.execPath, ["-e", script]);
  try {
    await once(child.stdout, "data");
    const before = await startedCpuUs(process.pid);
    assert.ok(before > (await usageOf(child.pid ?? 0)).cpuUs);
    const started = performance.now();
    while (performance.now() - started < 300) Math.sqrt(started);
    assert.ok((await startedCpuUs(process.pid)) - before < 200_000);
  } finally {
    child.kill("SIGKILL");
  }
});
