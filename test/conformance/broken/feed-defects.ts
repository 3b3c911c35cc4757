import type {
  Change,
  ChangeBatch,
  Cursor,
  Outcome,
  Store,
  Transaction,
} from "../../../src/store.ts";
import { sharedValue, type Defect } from "./defect.ts";
import { WrappedStore } from "./wrapped-store.ts";

type Follow = (
  inner: Store,
  after: Cursor | "now",
  signal: AbortSignal,
) => AsyncIterable<ChangeBatch>;

function follows(what: string, caughtBy: string, follow: Follow): Defect {
  return {
    what,
    caughtBy,
    spoil: (inner) =>
      new (class extends WrappedStore {
        override changes(after: Cursor | "now", signal: AbortSignal): AsyncIterable<ChangeBatch> {
          return follow(inner, after, signal);
        }
      })(inner),
  };
}

/** Changes the changes of each batch. */
const changing = (change: (changes: readonly Change[]) => readonly Change[]): Follow =>
  async function* (inner, after, signal) {
    for await (const batch of inner.changes(after, signal)) {
      yield { ...batch, changes: change(batch.changes) };
    }
  };

const TELLS = "says at once where now is, and then tells of each put and delete";
const BATCHES = "tells of every change of a batch once, each key's in order";
const RESUMES = "resumes from every cursor with exactly the rest";
const MISSED = "hands out 3,000 missed changes without missing or repeating one";

export const feedDefects: readonly Defect[] = [
  follows(
    "leaves out a change now and then",
    BATCHES,
    changing((changes) => changes.filter((_, i) => i % 10 !== 4)),
  ),
  follows(
    "tells changes out of order",
    BATCHES,
    changing((changes) => changes.toReversed()),
  ),
  follows(
    "tells one change twice",
    BATCHES,
    changing((changes) => changes.flatMap((change, i) => (i === 3 ? [change, change] : [change]))),
  ),
  follows(
    "tells the last change of a batch once per key",
    BATCHES,
    changing((changes) => [...new Map(changes.map((change) => [change.key, change])).values()]),
  ),
  follows(
    "takes a delete for a put",
    TELLS,
    changing((changes) => changes.map((change) => ({ ...change, deleted: false }))),
  ),
  follows(
    "tells no incarnation",
    TELLS,
    changing((changes) => changes.map((change) => ({ ...change, incarnation: "" }))),
  ),
  follows(
    "tells the time of telling instead of that of the change",
    TELLS,
    changing((changes) => changes.map((change) => ({ ...change, at: change.at + 1 }))),
  ),
  follows(
    "spreads a key's changes over partitions",
    BATCHES,
    async function* (inner, after, signal) {
      for await (const batch of inner.changes(after, signal)) {
        const changes = batch.changes.map((change, i) => ({ ...change, partition: i % 2 }));
        yield { ...batch, changes, cursor: [...batch.cursor, ...batch.cursor] };
      }
    },
  ),
  follows("tells everything from the beginning where now is meant", TELLS, (inner, after, signal) =>
    inner.changes(after === "now" ? [""] : after, signal),
  ),
  follows("goes on from now whatever the cursor says", RESUMES, (inner, _after, signal) =>
    inner.changes("now", signal),
  ),
  follows("tells the change at the cursor again", RESUMES, (inner, after, signal) =>
    inner.changes(after === "now" ? after : after.map(previous), signal),
  ),
  follows("hands out a cursor one change late", RESUMES, async function* (inner, after, signal) {
    let before: Cursor | undefined;
    for await (const batch of inner.changes(after, signal)) {
      yield {
        ...batch,
        cursor: before ?? batch.cursor,
      };
      before = batch.cursor;
    }
  }),
  follows(
    "loses what does not fit into its first batch",
    MISSED,
    async function* (inner, after, signal) {
      let isFirst = true;
      for await (const batch of inner.changes(after, signal)) {
        if (isFirst || batch.caughtUp) yield { ...batch, caughtUp: true };
        isFirst = false;
      }
    },
  ),
  follows(
    "goes on after its signal has aborted",
    "ends a feed when its signal aborts, and yields nothing from an aborted one",
    async function* (inner, after, signal) {
      if (signal.aborted) yield { changes: [], cursor: [""], caughtUp: true };
      yield* inner.changes(after, signal);
    },
  ),
  follows(
    "goes on from the oldest change where the cursor is older",
    "refuses a cursor that the feed no longer reaches with cursor_expired",
    async function* (inner, after, signal) {
      try {
        yield* inner.changes(after, signal);
      } catch {
        yield* inner.changes("now", signal);
      }
    },
  ),
  {
    what: "shortens the feed at every step of its housekeeping",
    caughtBy: "keeps the feed through housekeeping for as long as it is told to",
    spoil: (inner) =>
      new (class extends WrappedStore {
        override maintain(): Promise<boolean> {
          return inner.maintain({ feedRetentionMs: -1000 });
        }
      })(inner),
  },
  {
    what: "tells of transactions whose conditions were unmet",
    caughtBy: "tells nothing of what changed nothing",
    spoil: (inner) =>
      new (class extends WrappedStore {
        override async commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
          const outcomes = await inner.commit(transactions);
          const refused = transactions.filter((_, i) => outcomes[i]?.outcome === "conflict");
          await inner.commit(
            refused.map((one) => ({ ...one, request: undefined, conditions: [] })),
          );
          return outcomes;
        }
      })(inner),
  },
  {
    what: "tells of the writes of its own instance alone",
    caughtBy: "tells of what other processes write, each version once and in order",
    spoil: (inner, context) => {
      const writers = sharedValue(context, "writers", () => new Map<string, Store>());
      return new (class extends WrappedStore {
        override commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
          for (const { key } of transactions.flatMap(({ puts }) => puts)) writers.set(key, this);
          return inner.commit(transactions);
        }
        override async *changes(
          after: Cursor | "now",
          signal: AbortSignal,
        ): AsyncGenerator<ChangeBatch> {
          for await (const batch of inner.changes(after, signal)) {
            const changes = batch.changes.filter(({ key }) => writers.get(key) === this);
            yield { ...batch, changes };
          }
        }
      })(inner);
    },
  },
  {
    what: "follows where it says that it can't",
    caughtBy: "says that it can't be followed where that is so",
    facts: { watch: "none" },
    spoil: (inner) => inner,
  },
];

/** The position before one of the memory store's, whose positions are numbers of a fixed length. */
function previous(position: string): string {
  if (position === "") return position;
  const digits = position.length;
  const radix = 10;
  return String(Math.max(0, Number.parseInt(position, radix) - 1)).padStart(digits, "0");
}
