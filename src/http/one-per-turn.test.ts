import assert from "node:assert/strict";
import { test } from "node:test";

import { OnePerTurn } from "./one-per-turn.ts";

test("callers pass in order, and what else is due runs between any two of them", async () => {
  const gate = new OnePerTurn();
  const passed: string[] = [];
  let isOver = false;
  const tick = (): void => {
    passed.push("tick");
    if (!isOver) setTimeout(tick, 0);
  };
  setTimeout(tick, 0);
  const busy = (): void => {
    const end = performance.now() + 3;
    while (performance.now() < end);
  };
  await Promise.all(
    ["a", "b", "c"].map(async (name) => {
      await gate.pass();
      busy();
      passed.push(name);
    }),
  );
  isOver = true;
  const order = passed.join(" ");
  assert.match(order, /a .*tick.* b .*tick.* c/);
});
