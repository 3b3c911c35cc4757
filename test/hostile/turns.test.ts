import assert from "node:assert/strict";
import { test } from "node:test";

import { removeFolder, temporaryFolder } from "../servers/process.ts";
import { VssServer } from "../servers/vss-server.ts";
import { TurnsProbe, waitsOf } from "./turns.ts";

test("one turn in a hundredth of the time makes the p99; shorter ones do not", () => {
  const short = Array.from({ length: 900 }, () => 0.5);
  assert.ok(waitsOf({ turnsMs: short, windowMs: 1_000 }).p99Ms < 0.5);
  const { p99Ms, longestMs } = waitsOf({ turnsMs: [...short, 50], windowMs: 1_000 });
  assert.ok(Math.abs(p99Ms - 40) < 0.1, `${p99Ms}`);
  assert.equal(longestMs, 50);
  assert.equal(waitsOf({ turnsMs: [], windowMs: 1_000 }).longestMs, 0);
});

test("a server tells the turns since it was asked before", async () => {
  const folder = await temporaryFolder("turns");
  const probe = new TurnsProbe(folder);
  const server = await VssServer.start({ store: "memory:", under: probe.under });
  try {
    const start = await probe.take();
    const long = JSON.stringify({ put: Array.from({ length: 100_000 }, () => [[[[]]]]) });
    const answer = await fetch(`${server.url}/-/transactions`, { method: "POST", body: long });
    assert.equal(answer.status, 400);
    const after = await probe.take();
    assert.ok(start.longestMs > 0);
    assert.ok(after.longestMs > 2, `${after.longestMs}`);
  } finally {
    await server.stop();
    await removeFolder(folder);
  }
});
