import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { valueText, type StateCase, type StateContext, type Watcher } from "./state-context.ts";
import type { StateApi, WatchEvent, WatchOptions } from "../api.ts";

function watchKey(
  context: StateContext,
  state: StateApi,
  key: string,
  options: WatchOptions = {},
): Watcher {
  return context.watch((signal) => state.watch(key, { ...options, signal }));
}

function watchPrefix(
  context: StateContext,
  state: StateApi,
  prefix: string,
  more: { readonly lastEventId?: string; readonly values?: boolean } = {},
): Watcher {
  return context.watch((signal) => state.watchPrefix({ prefix, ...more, signal }));
}

/** A change in a few characters, as a prefix's watcher sees it. */
function brief(event: WatchEvent, prefix: string): string {
  if (event.type !== "put" && event.type !== "delete") return event.type;
  return `${event.type} ${event.key.slice(prefix.length)} ${event.version}`;
}

/** What was told of each key, in order: between keys no order is promised. */
function byKey(events: readonly WatchEvent[], prefix: string): object {
  const changes = events.filter(({ type }) => type === "put" || type === "delete");
  return Object.groupBy(
    changes.map((event) => brief(event, prefix)),
    (told) => told.split(" ")[1] ?? "",
  );
}

/** For a watch that would never end: a busy machine may take seconds. */
const ENDS_WITHIN_MS = 60_000;

const idsOf = (events: readonly WatchEvent[]): readonly string[] => events.map(({ id }) => id);

/** Following a key, or all keys of a prefix. */
export const watchCases: readonly StateCase[] = [
  {
    name: "tells a key's watcher of each new version once, from the next one on",
    async run(context) {
      const { state } = context;
      const key = context.key();
      await state.put(key, "before");
      const watcher = watchKey(context, state, key);
      await watcher.untilCount(1);
      for (let i = 2; i <= 6; i += 1) await state.put(key, `value ${i}`);
      const events = await watcher.untilCount(6);
      assert.deepEqual(watcher.seen, ["caught-up", "put 2", "put 3", "put 4", "put 5", "put 6"]);
      const second = events[1];
      assert.ok(second?.type === "put");
      const info = await state.head(key, { version: 2 });
      assert.deepEqual([second.key, second.createdAt], [key, info?.createdAt]);
      assert.equal(second.incarnation, info?.incarnation);
      assert.deepEqual([second.entry?.size, second.entry?.value], [7, undefined]);
    },
  },
  {
    name: "tells a key's watcher the versions after the one it has, whatever their age",
    async run(context) {
      const { state } = context;
      const key = context.key();
      for (let i = 1; i <= 130; i += 1) await state.put(key, `value ${i}`);
      for (const after of [0, 7, 129, 130]) {
        const watcher = watchKey(context, state, key, { after, values: true });
        const events = await watcher.untilCount(131 - after);
        const expected = Array.from({ length: 130 - after }, (_, i) => `put ${after + i + 1}`);
        assert.deepEqual(watcher.seen, [...expected, "caught-up"]);
        for (const event of events) {
          if (event.type === "put") assert.equal(valueText(event.entry), `value ${event.version}`);
        }
        await watcher.stop();
      }
    },
  },
  {
    name: "tells a key's watcher of its creation, its delete and its next life",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const watcher = watchKey(context, state, key);
      await watcher.untilCount(1);
      await state.put(key, "one");
      await watcher.untilCount(2);
      await state.delete(key);
      await watcher.untilCount(3);
      await state.put(key, "one again");
      const events = await watcher.untilCount(4);
      assert.deepEqual(watcher.seen, ["caught-up", "put 1", "delete", "put 1"]);
      const [, first, gone, again] = events;
      assert.ok(first?.type === "put" && gone?.type === "delete" && again?.type === "put");
      assert.equal(gone.incarnation, first.incarnation);
      assert.notEqual(again.incarnation, first.incarnation);
    },
  },
  {
    name: "resumes a key's watch at any event's id, also elsewhere, with exactly the rest",
    async run(context) {
      const { state } = context;
      const other = await context.open();
      const key = context.key();
      const watcher = watchKey(context, state, key, { after: 0 });
      await watcher.untilCount(1);
      for (let i = 1; i <= 3; i += 1) {
        await state.put(key, `value ${i}`);
        await watcher.untilCount(1 + i);
      }
      await state.delete(key);
      await watcher.untilCount(5);
      await state.put(key, "again");
      const events = [...(await watcher.untilCount(6))];
      const all = ["put 1", "put 2", "put 3", "delete", "put 1"];
      for (const [i, id] of idsOf(events.slice(1)).entries()) {
        const rest = all.slice(i + 1);
        // Of a life that has ended in the meantime, only its end is left to tell.
        const told = rest.slice(Math.max(0, rest.indexOf("delete")));
        const resumed = watchKey(context, other, key, { lastEventId: id });
        await resumed.untilCount(told.length + 1);
        assert.deepEqual(resumed.seen, [...told, "caught-up"], `after event ${i}`);
        await resumed.stop();
      }
    },
  },
  {
    name: "tells a key's watcher nothing of lives that were over before it began",
    async run(context) {
      const { state } = context;
      const other = await context.open();
      // Somebody watches, so that this one follows the feed and may be behind the other.
      await watchKey(context, state, context.key()).untilCount(1);
      for (let round = 0; round < 10; round += 1) {
        const key = context.key();
        for (let life = 0; life < 2; life += 1) {
          for (let i = 0; i < 4; i += 1) await other.put(key, "of a life that is over");
          await other.delete(key);
        }
        const options = [{}, { after: 0 }, { after: 2 }, { lastEventId: "earlier.3.end" }];
        const watchers = options.map((one) => watchKey(context, state, key, one));
        for (const watcher of watchers) await watcher.untilCount(1);
        await other.put(key, "one");
        await other.put(key, "two");
        for (const watcher of watchers) {
          await watcher.untilCount(3);
          assert.deepEqual(watcher.seen, ["caught-up", "put 1", "put 2"]);
          await watcher.stop();
        }
      }
    },
  },
  {
    name: "tells a watcher what was written on another instance",
    async run(context) {
      const { state } = context;
      const other = await context.open();
      const key = context.key();
      const watcher = watchKey(context, state, key, { values: true });
      await watcher.untilCount(1);
      await other.put(key, "from elsewhere");
      const events = await watcher.untilCount(2);
      const event = events[1];
      assert.ok(event?.type === "put");
      assert.equal(valueText(event.entry), "from elsewhere");
    },
  },
  {
    name: "misses and repeats nothing while many versions are written",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const early = watchKey(context, state, key, { after: 0 });
      await early.untilCount(1);
      const writing = Promise.all(Array.from({ length: 150 }, (_, i) => state.put(key, `${i}`)));
      const late = watchKey(context, state, key, { after: 0 });
      await writing;
      const expected = Array.from({ length: 150 }, (_, i) => `put ${i + 1}`);
      for (const watcher of [early, late]) {
        await watcher.untilCount(151);
        assert.deepEqual(
          watcher.seen.filter((one) => one !== "caught-up"),
          expected,
        );
      }
    },
  },
  {
    name: "tells a prefix's watcher of its keys alone, from now on",
    needs: "feed",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      await state.put(`${prefix}a`, "before");
      const watcher = watchPrefix(context, state, prefix, { values: true });
      // What was written just before "now" may still be told; nothing after it may be missing.
      const told = (): readonly WatchEvent[] =>
        watcher.events.filter((event) => brief(event, prefix) !== "put a 1");
      const untilTold = async (count: number): Promise<void> => {
        while (told().length < count) await watcher.untilCount(watcher.events.length + 1);
      };
      await untilTold(1);
      await state.put(`${prefix}a`, "a2");
      await untilTold(2);
      await state.put(context.key(), "elsewhere");
      await state.put(`${prefix.slice(0, -1)}!`, "not of the prefix");
      await state.put(`${prefix}b`, "b1");
      await untilTold(3);
      await state.delete(`${prefix}a`);
      await untilTold(4);
      const expected = ["caught-up", "put a 2", "put b 1", "delete a 2"];
      assert.deepEqual(
        told().map((event) => brief(event, prefix)),
        expected,
      );
      const values = told().flatMap((event) =>
        event.type === "put" ? [valueText(event.entry)] : [],
      );
      assert.deepEqual(values, ["a2", "b1"]);
    },
  },
  {
    name: "resumes a prefix's watch at every event's id, also elsewhere, with exactly the rest",
    needs: "feed",
    async run(context) {
      const { state } = context;
      const other = await context.open();
      const prefix = context.prefix();
      const watcher = watchPrefix(context, state, prefix);
      await watcher.untilCount(1);
      const steps = [
        () => state.put(`${prefix}a`, "1"),
        () => state.put(`${prefix}b`, "1"),
        () => state.delete(`${prefix}a`),
        () => state.put(`${prefix}a`, "1 again"),
        () => state.put(`${prefix}b`, "2"),
      ];
      for (const [i, step] of steps.entries()) {
        await step();
        await watcher.untilCount(i + 2);
      }
      const all = [...watcher.events];
      await watcher.stop();
      for (const from of [state, other]) {
        for (const [i, lastEventId] of idsOf(all).entries()) {
          const rest = all.slice(i + 1);
          const resumed = watchPrefix(context, from, prefix, { lastEventId });
          const events = await resumed.untilCount(rest.length + 1);
          assert.equal(events.at(-1)?.type, "caught-up", `after event ${i}`);
          assert.deepEqual(byKey(events, prefix), byKey(rest, prefix), `after event ${i}`);
          await resumed.stop();
        }
      }
    },
  },
  {
    name: "ends a watch when its signal aborts",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const watcher = watchKey(context, state, key);
      await watcher.untilCount(1);
      const late = pause(ENDS_WITHIN_MS, undefined, { ref: false }).then(notEnded);
      await Promise.race([watcher.stop(), late]);
      await state.put(key, "unseen");
      assert.deepEqual(watcher.seen, ["caught-up"]);
    },
  },
  {
    name: "says that prefixes can't be watched where that is so, while keys can",
    needs: "no-feed",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      assert.equal(await watchPrefix(context, state, prefix).failure(), "watch_unsupported");
    },
  },
  {
    name: "refuses ids and positions that are none",
    async run(context) {
      const { state } = context;
      const key = context.key();
      await state.put(key, "x");
      for (const options of [{ after: -1 }, { after: 1.5 }, { lastEventId: "no id!" }]) {
        const code = await watchKey(context, state, key, options).failure();
        assert.equal(code, "invalid_parameter", JSON.stringify(options));
      }
      const illegal = context.watch((signal) => state.watch("-", { signal }));
      assert.equal(await illegal.failure(), "invalid_key");
    },
  },
];

function notEnded(): never {
  throw new Error(`the watch did not end within ${ENDS_WITHIN_MS} ms of its signal`);
}
