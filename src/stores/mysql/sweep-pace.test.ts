import assert from "node:assert/strict";
import { test } from "node:test";
import { SweepPace } from "./sweep-pace.ts";

test("steps shrink while the database is slow, down to a bound, and grow back", () => {
  const pace = new SweepPace();
  const most = pace.rows;
  pace.learn(15);
  assert.equal(pace.rows, most, "neither slow nor fast");
  pace.learn(50);
  assert.equal(pace.rows, most / 2);
  for (let i = 0; i < 20; i += 1) pace.learn(1_000);
  const least = pace.rows;
  assert.ok(least > 0 && least < most);
  pace.learn(1);
  assert.equal(pace.rows, 2 * least);
  for (let i = 0; i < 20; i += 1) pace.learn(1);
  assert.equal(pace.rows, most);
});

test("a pause is as long as the step, has a bound, and ends with its signal", async () => {
  const pace = new SweepPace();
  const waitOf = async (stepMs: number, signal: AbortSignal): Promise<number> => {
    const start = performance.now();
    await pace.pause(stepMs, signal);
    return performance.now() - start;
  };
  const { signal } = new AbortController();
  assert.ok((await waitOf(30, signal)) >= 29);
  assert.ok((await waitOf(60_000, signal)) < 30_000);
  // Those that do not end with it take ten seconds together.
  const started = performance.now();
  for (let count = 0; count < 100; count += 1) await pace.pause(60_000, AbortSignal.abort());
  assert.ok(performance.now() - started < 8_000);
});
