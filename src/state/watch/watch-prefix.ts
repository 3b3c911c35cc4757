import type { WatchEvent, WatchPrefixOptions } from "../../api.ts";
import type { ChangeBatch, Cursor, Store } from "../../store.ts";
import { checkPrefix, invalid } from "../input.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import type { Details } from "./details.ts";
import type { Hub } from "./hub.ts";
import type { FeedEvent } from "./subscriber.ts";

/** What a watch needs of the engine. */
export interface WatchParts {
  readonly store: Store;
  readonly hub: Hub;
  readonly details: Details;
}

/** How many events are looked up at once. */
const LOOK_AHEAD = 100;

/**
 * Follows all keys of a prefix. A reader whose position the hub's ring holds joins there. One from
 * anywhere else first reads the store's feed by itself: the store refuses a position that its feed
 * does not have.
 */
export async function* watchPrefix(
  parts: WatchParts,
  options: WatchPrefixOptions,
): AsyncGenerator<WatchEvent> {
  const { hub, details, store } = parts;
  const { signal } = options;
  const prefix = checkPrefix("prefix", options.prefix);
  const values = options.values === true;
  let after = options.lastEventId === undefined ? undefined : decodeCursor(options.lastEventId);
  await hub.start();
  if (signal?.aborted === true || hub.isClosed) return;
  if (after !== undefined && !hub.isOurs(after)) {
    throw invalid("Last-Event-ID", `"Last-Event-ID" is the id of an event of this watch.`);
  }
  const isKnown = after === undefined || hub.isKnown(after);
  let subscription = isKnown ? hub.subscribePrefix(prefix, after, signal) : undefined;
  while (subscription === undefined) {
    const ends = hub.untilClosed(signal);
    for await (const batch of store.changes(after ?? "now", ends)) {
      const events = toEvents(batch, after ?? []).filter(({ change }) =>
        change.key.startsWith(prefix),
      );
      yield* describe(events, details, values);
      after = batch.cursor;
      if (batch.caughtUp) break;
    }
    if (ends.aborted) return;
    // It may have stopped meanwhile, where nobody else needed it.
    await hub.start();
    subscription = hub.subscribePrefix(prefix, after, signal);
  }
  const { subscriber, missed, cursor, leave } = subscription;
  try {
    yield* describe(missed, details, values);
    let lastId = encodeCursor(cursor);
    yield { type: "caught-up", id: lastId };
    for (;;) {
      const events = await subscriber.take();
      if (subscriber.aborted) return;
      if (events === "too-slow") {
        yield { type: "too-slow", id: lastId };
        return;
      }
      yield* describe(events, details, values);
      lastId = events.at(-1)?.id ?? lastId;
    }
  } finally {
    leave();
  }
}

/** Looks up some events at a time, so that a reader far behind does not wait for them one by one. */
async function* describe(
  events: readonly FeedEvent[],
  details: Details,
  values: boolean,
): AsyncGenerator<WatchEvent> {
  for (let start = 0; start < events.length; start += LOOK_AHEAD) {
    const some = events.slice(start, start + LOOK_AHEAD);
    yield* await Promise.all(some.map(({ change, id }) => details.toEvent(change, id, values)));
  }
}

/** Each change of a batch with the cursor just after it, in all partitions that the feed has. */
function toEvents(batch: ChangeBatch, after: Cursor): FeedEvent[] {
  let cursor: Cursor = batch.cursor.map((_, partition) => after[partition] ?? "");
  return batch.changes.map((change) => {
    cursor = cursor.with(change.partition, change.position);
    return { change, id: encodeCursor(cursor) };
  });
}
