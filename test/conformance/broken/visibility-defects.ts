import type { Key } from "../../../src/key.ts";
import type {
  EntryInfo,
  HistoryPage,
  Outcome,
  Query,
  ReadResult,
  Store,
} from "../../../src/store.ts";
import type { Transaction } from "../../../src/store.ts";
import { sharedValue, type Defect } from "./defect.ts";
import { WrappedStore } from "./wrapped-store.ts";
import { commits } from "./write-defects.ts";

/** Defects that show only while several things go on at once, or in big batches. */
export const visibilityDefects: readonly Defect[] = [
  {
    what: "reads from a copy that is one write behind",
    caughtBy:
      "never reads less than was acknowledged, nor than was read before, while others write",
    spoil: (inner, context) => {
      const before = sharedValue(context, "before", () => new Map<Key, number>());
      return new LaggingStore(inner, before);
    },
  },
  {
    what: "reads from one of two copies, of which one is behind",
    caughtBy:
      "never reads less than was acknowledged, nor than was read before, while others write",
    spoil: (inner) =>
      new (class extends WrappedStore {
        #reads = 0;
        override async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
          this.#reads += 1;
          const results = await inner.read(queries);
          if (this.#reads % 5 !== 0) return results;
          const older = queries.map((query, i): Query => {
            const result = results[i];
            const version = typeof result === "object" ? Math.max(1, result.version - 3) : 1;
            return { ...query, select: { version } };
          });
          return inner.read(older);
        }
      })(inner),
  },
  {
    what: "lists a history from which the version being written is missing",
    caughtBy: "lists no hole in a history, nor an old version of a key, while others write",
    spoil: (inner, context) => {
      const writes = sharedValue(context, "writes", () => ({ count: 0 }));
      return new (class extends WrappedStore {
        override commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
          writes.count += 1;
          return inner.commit(transactions);
        }
        override async history(key: Key, page: HistoryPage): Promise<readonly EntryInfo[]> {
          const listed = await inner.history(key, page);
          return listed.filter(({ version }) => version !== writes.count - 2);
        }
      })(inner);
    },
  },
  commits(
    "takes 256 transactions of a batch and says that it took all",
    "commits as many transactions as a batch may hold, over many keys, each numbered",
    async (inner, transactions) => {
      const outcomes = await inner.commit(transactions.slice(0, 256));
      const [first] = outcomes;
      return transactions.map((_, i) => outcomes[i] ?? first ?? { outcome: "unsupported" });
    },
  ),
  commits(
    "gives up a batch that meets another one",
    "settles batches that meet over the same keys in opposite orders",
    (inner, transactions, context) =>
      deadlock(inner, transactions, sharedValue(context, "busy", newBusy)),
  ),
  commits(
    "gives up a transaction that meets another one",
    "settles transactions that meet over the same keys in opposite orders",
    (inner, transactions, context) =>
      deadlock(inner, transactions, sharedValue(context, "busy", newBusy)),
  ),
  {
    what: "clears what another instance has put anew when two keep house",
    caughtBy: "can be kept in order by two instances at once",
    spoil: (inner, context) => {
      const left = sharedValue(context, "left", () => new Set<Key>());
      const spoiled = commits("", "", (store, transactions) => {
        for (const key of transactions.flatMap(({ deletes }) => deletes)) left.add(key);
        return store.commit(transactions);
      }).spoil(inner, context);
      spoiled.maintain = async (options) => {
        const [key] = left;
        if (key === undefined) return inner.maintain(options);
        left.delete(key);
        const request = undefined;
        const sweep = { request, incarnation: "unused", conditions: [], puts: [], reads: [] };
        await inner.commit([{ ...sweep, deletes: [key] }]);
        return true;
      };
      return spoiled;
    },
  },
];

interface Busy {
  readonly keys: Set<Key>;
}

const newBusy = (): Busy => ({ keys: new Set<Key>() });

/** Fails where another commit under way has a key of this one, as a deadlock's victim does. */
async function deadlock(
  inner: Store,
  transactions: readonly Transaction[],
  busy: Busy,
): Promise<readonly Outcome[]> {
  const keys = transactions.flatMap(({ puts }) => puts.map(({ key }) => key));
  if (keys.some((key) => busy.keys.has(key))) throw new Error("deadlock found, try again");
  for (const key of keys) busy.keys.add(key);
  const outcomes = await inner.commit(transactions);
  for (const key of keys) busy.keys.delete(key);
  return outcomes;
}

/** Reads each key's latest as it was before the last write to it. */
class LaggingStore extends WrappedStore {
  readonly #before: Map<Key, number>;

  constructor(inner: Store, before: Map<Key, number>) {
    super(inner);
    this.#before = before;
  }

  override async commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    const outcomes = await this.inner.commit(transactions);
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.outcome !== "committed") continue;
      for (const [j, put] of (transactions[i]?.puts ?? []).entries()) {
        this.#before.set(put.key, (outcome.puts[j]?.version ?? 1) - 1);
      }
    }
    return outcomes;
  }

  override read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    const older = queries.map((query): Query => {
      const version = this.#before.get(query.key) ?? 0;
      return query.select === "latest" && version > 0 ? { ...query, select: { version } } : query;
    });
    return this.inner.read(older);
  }
}
