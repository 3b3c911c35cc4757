import assert from "node:assert/strict";
import { test } from "node:test";
import { peakOf, resetPeak, ticksOf, usageOf } from "./usage.ts";

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
