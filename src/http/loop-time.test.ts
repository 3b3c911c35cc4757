import assert from "node:assert/strict";
import { Socket } from "node:net";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";

import type { Clock } from "../telemetry/clock.ts";
import { LoopTime } from "./loop-time.ts";

/** Takes no real time, so that a busy machine changes nothing. */
class HandClock implements Clock {
  ms = 0;
  now = (): number => this.ms;
  monotonic = (): number => this.ms;
}

/** As a request of the same machine is run: at once, or in a later turn. */
function arrive(loopTime: LoopTime, task: () => void): void {
  if (loopTime.isOver) loopTime.putOff(ONE, task);
  else task();
}

const ONE = { remoteAddress: "10.0.0.1" };
const OTHER = { remoteAddress: "10.0.0.2" };

/** A request from an address, by way of `take`. */
function takeFrom(socket: typeof ONE, loopTime: LoopTime, run: () => void): void {
  loopTime.take({ socket } as never, { destroyed: false } as never, run);
}

test("a burst is spread over turns, and what comes in meanwhile goes first", async () => {
  const clock = new HandClock();
  const loopTime = new LoopTime(clock);
  const done: string[] = [];
  const takeMs = (name: string, ms: number) => (): void => {
    clock.ms += ms;
    done.push(name);
  };
  for (let n = 0; n < 20; n += 1) arrive(loopTime, takeMs("burst", 0.25));
  assert.equal(done.length, 2);
  await nextTurn();
  assert.equal(done.length, 4);
  arrive(loopTime, takeMs("new", 0));
  assert.equal(done.at(-1), "new");
  for (let n = 0; loopTime.waiting > 0; n += 1) {
    assert.ok(n < 9, `${loopTime.waiting} are left`);
    await nextTurn();
  }
  assert.equal(done.length, 21);
});

test("what a task sets off at once counts as its time", async () => {
  const clock = new HandClock();
  const loopTime = new LoopTime(clock);
  let done = 0;
  const task = async (): Promise<void> => {
    for (let n = 0; n < 10; n += 1) await Promise.resolve();
    clock.ms += 1;
    done += 1;
  };
  for (let n = 0; n < 12; n += 1) loopTime.putOff(ONE, () => void task());
  await nextTurn();
  assert.equal(done, 4);
});

test("a client waits for its own burst and not for that of another address", async () => {
  const clock = new HandClock();
  const loopTime = new LoopTime(clock);
  const done: string[] = [];
  const takeMs = (name: string) => (): void => {
    clock.ms += 0.25;
    done.push(name);
  };
  for (let n = 0; n < 20; n += 1) loopTime.putOff(ONE, takeMs("one"));
  for (let n = 0; n < 2; n += 1) loopTime.putOff(OTHER, takeMs("other"));
  for (let turn = 0; turn < 3; turn += 1) await nextTurn();
  assert.deepEqual(done.slice(0, 5), ["one", "other", "one", "other", "one"]);
});

test("in a turn that is over, one request of each address is served that has none put off", async () => {
  const clock = new HandClock();
  const loopTime = new LoopTime(clock);
  const done: string[] = [];
  const take = (socket: typeof ONE, name: string): void =>
    takeFrom(socket, loopTime, () => {
      clock.ms += 0.25;
      done.push(name);
    });
  for (let n = 0; n < 10; n += 1) take(ONE, "one");
  // Two of them in the turn's time, and one more when it is over.
  assert.equal(done.length, 3);
  take(OTHER, "other");
  assert.equal(done.at(-1), "other");
  take(OTHER, "its second");
  assert.equal(done.length, 4);
  await nextTurn();
  assert.ok(done.includes("its second"));
  // Time has begun anew.
  take(ONE, "in its turn");
  assert.equal(done.at(-1), "in its turn");
});

test("of hundreds of addresses, a turn that is over serves few", async () => {
  const clock = new HandClock();
  const loopTime = new LoopTime(clock);
  let done = 0;
  for (let n = 0; n < 500; n += 1) {
    takeFrom({ remoteAddress: `10.0.1.${n}` }, loopTime, () => {
      clock.ms += 1;
      done += 1;
    });
  }
  assert.ok(done < 30, `${done} were served in one turn`);
  for (let n = 0; loopTime.waiting > 0 && n < 500; n += 1) await nextTurn();
  assert.equal(done, 500);
});

test("while connections come, turns are shorter", async () => {
  const clock = new HandClock();
  const loopTime = new LoopTime(clock);
  let done = 0;
  const task = (): void => {
    clock.ms += 0.25;
    done += 1;
  };
  loopTime.connected(new Socket());
  for (let n = 0; n < 20; n += 1) arrive(loopTime, task);
  assert.equal(done, 1);
  await nextTurn();
  assert.equal(done, 2);
  // No connection has come in this turn, so that the next one may take its full time.
  await nextTurn();
  assert.equal(done, 3);
  await nextTurn();
  assert.equal(done, 5);
});

test("what waits for a connection that is gone is not served", async () => {
  const clock = new HandClock();
  const loopTime = new LoopTime(clock);
  const served: number[] = [];
  const take = (number: number, destroyed = false): void =>
    loopTime.take({ socket: ONE } as never, { destroyed } as never, () => {
      clock.ms += 1;
      served.push(number);
    });
  loopTime.connected(new Socket());
  take(1);
  take(2);
  take(3, true);
  take(4);
  // The second one because a turn that is over serves one more.
  assert.deepEqual(served, [1, 2]);
  while (loopTime.waiting > 0) await nextTurn();
  assert.deepEqual(served, [1, 2, 4]);
});

test("turns that are not long put nothing off", async () => {
  const clock = new HandClock();
  const loopTime = new LoopTime(clock);
  for (let n = 0; n < 1_000; n += 1) {
    assert.equal(loopTime.isOver, false);
    clock.ms += 1;
    await nextTurn();
  }
});

test("thousands are run in their order, each once", async () => {
  const clock = new HandClock();
  const loopTime = new LoopTime(clock);
  const done: number[] = [];
  for (let n = 0; n < 5_000; n += 1) {
    loopTime.putOff(ONE, () => {
      clock.ms += 0.01;
      done.push(n);
    });
  }
  while (loopTime.waiting > 0) await nextTurn();
  assert.deepEqual(
    done,
    Array.from({ length: 5_000 }, (_, n) => n),
  );
});
