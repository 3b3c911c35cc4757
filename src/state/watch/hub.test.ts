import assert from "node:assert/strict";
import { test } from "node:test";

import type { WatchEvent } from "../../api.ts";
import { SharedMemory } from "../../../test/conformance/broken/shared-memory.ts";
import { openState } from "../../../test/conformance/suites.ts";
import { mostInATurn } from "../../../test/most-in-a-turn.ts";
import { open, type VersionedState } from "../../index.ts";
import type { ChangeBatch, Store } from "../../store.ts";
import { WAITING_EVENTS_MAX } from "./subscriber.ts";

/** Takes events until `count` have come. */
async function take(
  events: AsyncIterator<WatchEvent>,
  count: number,
): Promise<readonly WatchEvent[]> {
  const taken: WatchEvent[] = [];
  while (taken.length < count) {
    const next = await events.next();
    if (next.done === true) break;
    taken.push(next.value);
  }
  return taken;
}

function describe(event: WatchEvent): string {
  const which = "key" in event ? ` ${event.key}` : "";
  return event.type + which + (event.type === "put" ? `/${event.version}` : "");
}

/** Holds back the feeds that are followed, as a process under load does; new ones are not held. */
class HeldFeed {
  #held: PromiseWithResolvers<void> | undefined;

  hold(): void {
    this.#held = Promise.withResolvers();
  }

  release(): void {
    this.#held?.resolve();
    this.#held = undefined;
  }

  over(store: Store): Store {
    const changes = store.changes.bind(store);
    store.changes = (after, signal): AsyncIterable<ChangeBatch> => {
      const batches = changes(after, signal);
      return this.#held === undefined ? this.#delayed(batches) : batches;
    };
    return store;
  }

  async *#delayed(batches: AsyncIterable<ChangeBatch>): AsyncGenerator<ChangeBatch> {
    for await (const batch of batches) {
      await this.#held?.promise;
      yield batch;
    }
  }
}

/** An engine whose feed can be held back. */
async function openHeld(
  memory = new SharedMemory(),
  url = memory.newUrl(),
): Promise<{ readonly state: VersionedState; readonly held: HeldFeed }> {
  const held = new HeldFeed();
  const state = await openState(async (...args) => held.over(await memory.open(...args)), url);
  return { state, held };
}

/** Puts four versions of "k", and ends the feed for its followers: it reaches back to the first alone. */
async function expireFeed(state: VersionedState, held: HeldFeed): Promise<void> {
  held.hold();
  for (let i = 0; i < 4; i += 1) await state.put("k", "x");
  await state.store.maintain({ feedRetentionMs: -60_000 });
  held.release();
}

test("of the readers of a change, few are woken in each turn of the event loop", async () => {
  const state = await open("memory:");
  const watches = Array.from({ length: 200 }, (_, index) => {
    const watch = index % 2 === 0 ? state.watch("k") : state.watchPrefix({ prefix: "" });
    return watch[Symbol.asyncIterator]();
  });
  await Promise.all(watches.map((events) => take(events, 1)));
  let told = 0;
  const all = watches.map(async (events) => {
    await take(events, 1);
    told += 1;
  });
  await state.put("k", "x");
  const most = await mostInATurn(() => told, watches.length);
  assert.ok(most <= 64, `${most} were woken in one turn`);
  await Promise.all(all);
  await state.close();
});

test("a prefix watch resumes from any of its ids without missing or repeating", async () => {
  const state = await open("memory:");
  const events = state.watchPrefix({ prefix: "a" })[Symbol.asyncIterator]();
  assert.deepEqual((await take(events, 1)).map(describe), ["caught-up"]);
  for (const key of ["a1", "b1", "a2", "a1"]) await state.put(key, "x");
  await state.delete("a1");
  await state.put("a1", "y");
  const all = await take(events, 5);
  const expected = ["put a1/1", "put a2/1", "put a1/2", "delete a1", "put a1/1"];
  assert.deepEqual(all.map(describe), expected);
  for (const [index, { id }] of all.entries()) {
    const resumed = state.watchPrefix({ prefix: "a", lastEventId: id })[Symbol.asyncIterator]();
    const rest = [...expected.slice(index + 1), "caught-up"];
    assert.deepEqual((await take(resumed, rest.length)).map(describe), rest);
  }
  await state.close();
});

test("an id that no event of this store can have is refused", async () => {
  const state = await open("memory:");
  for (const lastEventId of ["1~2", "00000000001~00000000001", "a b"]) {
    const events = state.watchPrefix({ prefix: "", lastEventId })[Symbol.asyncIterator]();
    await assert.rejects(events.next(), { code: "invalid_parameter" });
  }
  await state.close();
});

test("an id of another history of the store is refused, also where its number was seen here", async () => {
  const state = await open("memory:");
  const events = state.watchPrefix({ prefix: "" })[Symbol.asyncIterator]();
  await take(events, 1);
  for (let i = 0; i < 5; i += 1) await state.put("k", "x");
  const [, , third] = await take(events, 5);
  // Some stores mark their numbers, since others may get them where the store has lost its latest ones.
  const lastEventId = `${third?.id}ffffffff`;
  const resumed = state.watchPrefix({ prefix: "", lastEventId })[Symbol.asyncIterator]();
  await assert.rejects(resumed.next(), { code: "cursor_expired" });
  await state.close();
});

test("an id from beyond the end of the feed is refused as one from before its start is", async () => {
  const before = await open("memory:");
  for (let i = 0; i < 10; i += 1) await before.put("k", "x");
  const [last] = await take(before.watchPrefix({ prefix: "" })[Symbol.asyncIterator](), 1);
  await before.close();
  const again = await open("memory:");
  await again.put("k", "x");
  const resumed = again.watchPrefix({ prefix: "", lastEventId: last?.id ?? "" });
  await assert.rejects(resumed[Symbol.asyncIterator]().next(), { code: "cursor_expired" });
  await again.close();
});

test("an id that this process has not come to yet, while the back end has, is resumed from", async () => {
  const memory = new SharedMemory();
  const url = memory.newUrl();
  const writer = await openState(memory.open, url);
  const changes = writer.watchPrefix({ prefix: "" })[Symbol.asyncIterator]();
  await take(changes, 1);
  const { state: behind, held } = await openHeld(memory, url);
  await take(behind.watchPrefix({ prefix: "" })[Symbol.asyncIterator](), 1);
  held.hold();
  for (const key of ["a1", "b1", "a2"]) await writer.put(key, "x");
  const told = await take(changes, 3);
  await writer.put("a3", "x");
  const lastEventId = told[1]?.id ?? "";
  const resumed = behind.watchPrefix({ prefix: "a", lastEventId })[Symbol.asyncIterator]();
  assert.deepEqual((await take(resumed, 3)).map(describe), ["put a2/1", "put a3/1", "caught-up"]);
  held.release();
  await writer.put("a4", "x");
  assert.deepEqual((await take(resumed, 1)).map(describe), ["put a4/1"]);
  await writer.close();
  await behind.close();
});

test("a key watch tells each life of the key in order, whatever its age", async () => {
  const state = await open("memory:");
  for (let i = 0; i < 250; i += 1) await state.put("k", `${i}`);
  const events = state.watch("k", { after: 0, values: true })[Symbol.asyncIterator]();
  const history = await take(events, 251);
  assert.deepEqual(
    history.slice(0, 250).map((event) => event.type === "put" && event.version),
    Array.from({ length: 250 }, (_, index) => index + 1),
  );
  assert.equal(history.at(-1)?.type, "caught-up");
  await state.delete("k");
  await state.put("k", "new");
  const live = await take(events, 2);
  assert.deepEqual(live.map(describe), ["delete k", "put k/1"]);
  const resumed = state.watch("k", { lastEventId: history[10]?.id ?? "" });
  const rest = await take(resumed[Symbol.asyncIterator](), 3);
  assert.deepEqual(rest.map(describe), ["delete k", "put k/1", "caught-up"]);
  await state.close();
});

test("a key watch goes on from the history where the feed was shortened under its process", async () => {
  const memory = new SharedMemory();
  const url = memory.newUrl();
  const writer = await openState(memory.open, url);
  const { state: behind, held } = await openHeld(memory, url);
  const events = behind.watch("k")[Symbol.asyncIterator]();
  await take(events, 1);
  for (const isDeleted of [false, true]) {
    held.hold();
    if (isDeleted) await writer.delete("k");
    for (let i = 0; i < 4; i += 1) await writer.put("k", "x");
    // Of the feed, nothing is kept that was written up to now.
    await writer.store.maintain({ feedRetentionMs: -60_000 });
    held.release();
    const expected = ["put k/1", "put k/2", "put k/3", "put k/4"];
    if (isDeleted) expected.unshift("delete k");
    assert.deepEqual((await take(events, expected.length)).map(describe), expected);
  }
  await writer.put("k", "x");
  assert.deepEqual((await take(events, 1)).map(describe), ["put k/5"]);
  await writer.close();
  await behind.close();
});

test("a reader that does not keep up is told so, and can resume where it was", async () => {
  const state = await open("memory:");
  const events = state.watchPrefix({ prefix: "" })[Symbol.asyncIterator]();
  await take(events, 1);
  for (let i = 0; i < WAITING_EVENTS_MAX + 50; i += 1) await state.put("k", "x");
  const seen = await take(events, WAITING_EVENTS_MAX + 1);
  const last = seen.at(-1);
  assert.equal(last?.type, "too-slow");
  assert.equal((await events.next()).done, true);
  const resumed = state.watchPrefix({ prefix: "", lastEventId: last?.id ?? "" });
  const [next] = await take(resumed[Symbol.asyncIterator](), 1);
  assert.equal(next && describe(next), `put k/${WAITING_EVENTS_MAX + 1}`);
  await state.close();
});

test("closing the engine ends every watch", async () => {
  const state = await open("memory:");
  const events = state.watchPrefix({ prefix: "" })[Symbol.asyncIterator]();
  await take(events, 1);
  const next = events.next();
  await state.close();
  assert.equal((await next).done, true);
});

test("closing the engine ends a watch that still waits for the feed", async () => {
  const { state, held } = await openHeld();
  const watches = [state.watch("k"), state.watchPrefix({ prefix: "" })];
  const waiting = watches.map((events) => events[Symbol.asyncIterator]().next());
  held.hold();
  await state.close();
  for (const { done } of await Promise.all(waiting)) assert.equal(done, true);
});

test("whoever waits long for the feed keeps it, when the last of the others leaves", async (t) => {
  const { state, held } = await openHeld();
  const watch = () => state.watchPrefix({ prefix: "" })[Symbol.asyncIterator]();
  const [quick, slow] = [watch(), watch()];
  for (const one of [quick, slow]) await take(one, 1);
  await expireFeed(state, held);
  await assert.rejects(take(quick, 4), { code: "cursor_expired" });
  const late = watch();
  const first = take(late, 1);
  held.hold();
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await assert.rejects(take(slow, 4), { code: "cursor_expired" });
  t.mock.timers.tick(60_000);
  t.mock.timers.reset();
  held.release();
  assert.deepEqual((await first).map(describe), ["caught-up"]);
  await state.put("k", "x");
  assert.deepEqual((await take(late, 1)).map(describe), ["put k/5"]);
  await state.close();
});

test("a life of a key that is over before anything of it was told is not told as deleted", async () => {
  const state = await open("memory:");
  await state.put("k", "x");
  const { store } = state;
  const history = store.history.bind(store);
  store.history = async (...parameters) => {
    await state.delete("k");
    return history(...parameters);
  };
  const events = state.watch("k", { after: 0 })[Symbol.asyncIterator]();
  const [caughtUp] = await take(events, 1);
  assert.equal(caughtUp?.type, "caught-up");
  store.history = history;
  await state.put("k", "y");
  assert.deepEqual((await take(events, 1)).map(describe), ["put k/1"]);
  const resumed = state.watch("k", { lastEventId: caughtUp.id })[Symbol.asyncIterator]();
  assert.deepEqual((await take(resumed, 2)).map(describe), ["put k/1", "caught-up"]);
  await state.close();
});

test("a slow reader of a feed that was lost is told nothing from beyond the gap", async () => {
  const { state, held } = await openHeld();
  const watch = () => state.watchPrefix({ prefix: "" })[Symbol.asyncIterator]();
  const [quick, slow] = [watch(), watch()];
  for (const one of [quick, slow]) await take(one, 1);
  await expireFeed(state, held);
  await assert.rejects(take(quick, 4), { code: "cursor_expired" });
  const late = watch();
  await take(late, 1);
  await state.put("k", "x");
  assert.deepEqual((await take(late, 1)).map(describe), ["put k/5"]);
  assert.deepEqual((await take(slow, 1)).map(describe), ["put k/1"]);
  await assert.rejects(take(slow, 1), { code: "cursor_expired" });
  await state.close();
});
