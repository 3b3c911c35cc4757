import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { StateError } from "../errors.ts";
import { systemClock } from "../telemetry/clock.ts";
import { Batcher, type BatcherOptions } from "./batcher.ts";

const OPTIONS = {
  concurrency: 1,
  batchItemsMax: () => 100,
  batchBytesMax: 1000,
  queueItemsMax: 10,
  queueBytesMax: 10_000,
  timeoutMs: 60_000,
  inFlightTimeout: () => new StateError("outcome_unknown", "too late"),
  clock: systemClock,
};

/** A batcher whose batches wait until the test answers them. */
function setUp(changes: Partial<BatcherOptions<number, string>> = {}) {
  const batches: { items: readonly number[]; answer: PromiseWithResolvers<readonly string[]> }[] =
    [];
  const batcher = new Batcher<number, string>({
    ...OPTIONS,
    run: (items) => {
      const answer = Promise.withResolvers<readonly string[]>();
      batches.push({ items, answer });
      return answer.promise;
    },
    ...changes,
  });
  const answer = (index: number): void => {
    const batch = batches[index];
    assert.ok(batch);
    batch.answer.resolve(batch.items.map((item) => `answer ${item}`));
  };
  return { batcher, batches, answer };
}

/** Has V8 collect all garbage now. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
}

/** Lets the event loop come round once. */
const turn = (): Promise<void> => setImmediate();

test("items of one turn travel together, and what gathers meanwhile travels next", async () => {
  const { batcher, batches, answer } = setUp();
  const first = [batcher.add(1, 1), batcher.add(2, 1)];
  await turn();
  const second = [batcher.add(3, 1), batcher.add(4, 1)];
  await turn();
  assert.deepEqual(
    batches.map(({ items }) => items),
    [[1, 2]],
  );
  answer(0);
  assert.deepEqual(await Promise.all(first), ["answer 1", "answer 2"]);
  while (batches.length < 2) await turn();
  assert.deepEqual(
    batches.map(({ items }) => items),
    [
      [1, 2],
      [3, 4],
    ],
  );
  answer(1);
  assert.deepEqual(await Promise.all(second), ["answer 3", "answer 4"]);
  await batcher.idle();
});

test("what gathered meanwhile is sent before the last batch is answered", async () => {
  const { batcher, batches, answer } = setUp();
  const first = batcher.add(1, 1).then(() => batches.map(({ items }) => items));
  await turn();
  const second = batcher.add(2, 1);
  answer(0);
  assert.deepEqual(await first, [[1], [2]]);
  answer(1);
  assert.equal(await second, "answer 2");
});

test("where two batches may be in flight, many items go in two halves, a turn apart", async () => {
  const { batcher, batches, answer } = setUp({ concurrency: 2, queueItemsMax: 100 });
  const sent = () => batches.map(({ items }) => items.length);
  const all = Array.from({ length: 51 }, (_, item) => batcher.add(item, 1));
  await turn();
  assert.deepEqual(sent(), [26]);
  await turn();
  assert.deepEqual(sent(), [26, 25]);
  const meanwhile = Array.from({ length: 48 }, (_, item) => batcher.add(item, 1));
  answer(1);
  while (batches.length < 3) await turn();
  // The other half is still on its way, so that there is nothing to keep apart.
  assert.deepEqual(sent(), [26, 25, 48]);
  answer(0);
  answer(2);
  assert.equal((await Promise.all([...all, ...meanwhile])).length, 99);
});

test("a batch ends at its limits of items and bytes, and one item may be larger than that", async () => {
  const { batcher, batches, answer } = setUp({ batchItemsMax: () => 2 });
  const all = [batcher.add(1, 1), batcher.add(2, 999), batcher.add(3, 5000), batcher.add(4, 1)];
  for (let index = 0; index < 3; index += 1) {
    while (batches[index] === undefined) await turn();
    answer(index);
  }
  await Promise.all(all);
  assert.deepEqual(
    batches.map(({ items }) => items),
    [[1, 2], [3], [4]],
  );
});

test("a full queue refuses, by items and by bytes, and nothing else is touched", async () => {
  const { batcher, answer } = setUp({ queueItemsMax: 2, queueBytesMax: 100 });
  const kept = [batcher.add(1, 50), batcher.add(2, 10)];
  await assert.rejects(batcher.add(3, 1), { code: "overloaded", applied: "no" });
  await turn();
  answer(0);
  await Promise.all(kept);
  await assert.rejects(batcher.add(4, 101), { code: "overloaded" });
});

test("every item is answered by its deadline, in flight or waiting, as what it is", async () => {
  const { batcher } = setUp({ timeoutMs: 60 });
  const inFlight = batcher.add(1, 1);
  await turn();
  const waiting = batcher.add(2, 1);
  await assert.rejects(inFlight, { code: "outcome_unknown", applied: "unknown" });
  await assert.rejects(waiting, { code: "overloaded", applied: "no" });
});

test("what waits while this process stands still is refused, and whoever waits for idleness is told", async () => {
  const { batcher, answer } = setUp({ timeoutMs: 60 });
  const first = batcher.add(1, 1);
  await turn();
  answer(0);
  await first;
  const waiting = batcher.add(2, 1);
  const idle = batcher.idle();
  const until = performance.now() + 150;
  while (performance.now() < until);
  await assert.rejects(waiting, { code: "overloaded", applied: "no" });
  await idle;
});

test("an answered item is not kept, whoever still waits behind it", async () => {
  const answered: WeakRef<object>[] = [];
  const goOn = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const batcher = new Batcher<object, object>({
    ...OPTIONS,
    batchItemsMax: () => 1,
    run: async (items) => {
      const nth = answered.push(new WeakRef(items[0] ?? {})) - 1;
      await goOn[nth]?.promise;
      return [{}];
    },
  });
  const first = batcher.add({}, 1);
  const all = [batcher.add({}, 1), batcher.add({}, 1)];
  await turn();
  goOn[0]?.resolve();
  await first;
  await turn();
  collectGarbage();
  assert.equal(answered[0]?.deref(), undefined);
  goOn[1]?.resolve();
  await Promise.all(all);
});

test("a batch that fails as a whole fails each of its items, and the next goes on", async () => {
  const { batcher, batches, answer } = setUp();
  const failing = batcher.add(1, 1);
  await turn();
  batches[0]?.answer.reject(new StateError("store_unavailable", "away"));
  await assert.rejects(failing, { code: "store_unavailable" });
  const next = batcher.add(2, 1);
  while (batches.length < 2) await turn();
  answer(1);
  assert.equal(await next, "answer 2");
});
