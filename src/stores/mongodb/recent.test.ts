import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf } from "../../conformance/build.ts";
import { AGE_MS_MAX } from "./recent.ts";
import { StateCache } from "./state-cache.ts";

class HandClock {
  wallMs = 1_000_000;
  steadyMs = 5_000;

  now(): number {
    return this.wallMs;
  }

  monotonic(): number {
    return this.steadyMs;
  }
}

const key = keyOf("key");
const state = { next: 7, live: undefined };

test("a state is forgotten when it is too old by either clock", () => {
  for (const field of ["wallMs", "steadyMs"] as const) {
    const clock = new HandClock();
    const cache = new StateCache(clock);
    cache.set(key, state, clock.monotonic());
    clock[field] += AGE_MS_MAX;
    assert.equal(cache.get(key), state);
    clock[field] += 1;
    assert.equal(cache.get(key), undefined);
    clock[field] -= 10;
    assert.equal(cache.get(key), undefined, "for good");
  }
});

test("a state counts from when it was asked for", () => {
  const clock = new HandClock();
  const cache = new StateCache(clock);
  const asked = clock.monotonic();
  clock.steadyMs += AGE_MS_MAX + 1;
  clock.wallMs += AGE_MS_MAX + 1;
  cache.set(key, state, asked);
  assert.equal(cache.get(key), undefined);
});

test("memory is bounded, and what was set first goes first", () => {
  const clock = new HandClock();
  const cache = new StateCache(clock);
  for (let i = 0; i < 60_000; i += 1) {
    cache.set(keyOf(`key-${i}`), { next: i, live: undefined }, clock.monotonic());
  }
  cache.set(key, state, clock.monotonic());
  assert.equal(cache.get(key), state);
  assert.equal(cache.get(keyOf("key-0")), undefined);
  assert.equal(cache.get(keyOf("key-59999"))?.next, 59_999);
});
