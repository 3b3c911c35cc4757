import type { WatchEvent } from "../../src/api.ts";
import { StateError, type ErrorCode } from "../../src/errors.ts";
import type { Change, ChangeBatch, Store } from "../../src/store.ts";
import type { WatchDefect } from "./watch-steps.ts";

/** A defect, and how the failure that finds it says so. */
interface FoundDefect extends WatchDefect {
  readonly message: RegExp;
}

const NOT_NEXT = /told is not the next one|writes .*are not told|was due/;

/** One change in so many is spoiled. */
const SPOILED_EVERY = 9;

/** What random watchers have to find, as things wrong with the feed or with the watch. */
export const watchDefects: readonly FoundDefect[] = [
  {
    what: "a feed that leaves out a change now and then",
    message: NOT_NEXT,
    spoil: (store) => withSpoiledChanges(store, () => []),
  },
  {
    what: "a feed that brings a change twice now and then",
    message: NOT_NEXT,
    spoil: (store) => withSpoiledChanges(store, (change) => [change, change]),
  },
  {
    what: "a feed that goes on from the present where it no longer reaches back",
    message: NOT_NEXT,
    spoil: withFeedBeyondGaps,
  },
  {
    what: "a feed that says nothing more once it was cut off",
    message: /watchers do not end|not told/,
    spoil: withSilentFeed,
  },
  {
    what: "a watch that leaves out the end of a life",
    message: /another life begins, and the last has no end|was due/,
    tell: (events) => flatMap(events, (event) => (event.type === "delete" ? [] : [event])),
  },
  {
    what: "a watch that tells of the end of a life twice",
    message: /the write told is older than the last one|told is not the next one/,
    tell: (events) =>
      flatMap(events, (event) => (event.type === "delete" ? [event, event] : [event])),
  },
  {
    what: "a watch that never tells that it is caught up",
    message: /never told that it is caught up/,
    tell: (events) => flatMap(events, (event) => (event.type === "caught-up" ? [] : [event])),
  },
  {
    what: "a watch that tells a version with another's value",
    message: /the value told is another/,
    tell: withOlderValues,
  },
];

function withSpoiledChanges(store: Store, spoil: (change: Change) => readonly Change[]): Store {
  const changes = store.changes.bind(store);
  let seen = 0;
  const spoilSome = (change: Change): readonly Change[] => {
    seen += 1;
    return seen % SPOILED_EVERY === 0 ? spoil(change) : [change];
  };
  store.changes = (after, signal) =>
    flatMap(changes(after, signal), (batch) => [
      { ...batch, changes: batch.changes.flatMap(spoilSome) },
    ]);
  return store;
}

function withFeedBeyondGaps(store: Store): Store {
  const changes = store.changes.bind(store);
  return goingOnAfter(store, "cursor_expired", (signal) => changes("now", signal));
}

function withSilentFeed(store: Store): Store {
  const changes = store.changes.bind(store);
  return goingOnAfter(store, "store_unavailable", (signal) =>
    flatMap(changes("now", signal), () => []),
  );
}

/** Has a feed that fails with this code go on as told, instead of failing. */
function goingOnAfter(
  store: Store,
  code: ErrorCode,
  goOn: (signal: AbortSignal) => AsyncIterable<ChangeBatch>,
): Store {
  const changes = store.changes.bind(store);
  store.changes = async function* (after, signal) {
    try {
      yield* changes(after, signal);
    } catch (error) {
      if (!(error instanceof StateError) || error.code !== code) throw error;
      yield* goOn(signal);
    }
  };
  return store;
}

function withOlderValues(events: AsyncIterable<WatchEvent>): AsyncIterable<WatchEvent> {
  let value: Uint8Array | undefined;
  return flatMap(events, (event) => {
    if (event.type !== "put" || event.entry?.value === undefined) return [event];
    const older = value ?? event.entry.value;
    ({ value } = event.entry);
    return [{ ...event, entry: { ...event.entry, value: older } }];
  });
}

async function* flatMap<Item>(
  items: AsyncIterable<Item>,
  change: (item: Item) => readonly Item[],
): AsyncGenerator<Item> {
  for await (const item of items) yield* change(item);
}
