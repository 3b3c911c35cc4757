import assert from "node:assert/strict";
import { test } from "node:test";

import { OneAtATime } from "./one-at-a-time.ts";

test("tasks are done in order, and what else is due runs between any two steps", async () => {
  const tasks = new OneAtATime();
  const done: string[] = [];
  let isOver = false;
  const tick = (): void => {
    done.push("tick");
    if (!isOver) setTimeout(tick, 0);
  };
  setTimeout(tick, 0);
  const busy = (): void => {
    const end = performance.now() + 3;
    while (performance.now() < end);
  };
  await Promise.all(
    ["a", "b"].map((name) => {
      let steps = 0;
      return tasks.run(() => {
        busy();
        steps += 1;
        done.push(`${name}${steps}`);
        return steps === 2;
      });
    }),
  );
  isOver = true;
  assert.match(done.join(" "), /a1 .*tick.* a2 .*tick.* b1 .*tick.* b2/);
});

test("a step that throws fails its task, and the next one is done", async () => {
  const tasks = new OneAtATime();
  const failed = tasks.run(() => {
    throw new Error("no room");
  });
  const next = tasks.run(() => true);
  await assert.rejects(failed, /no room/);
  await next;
});
