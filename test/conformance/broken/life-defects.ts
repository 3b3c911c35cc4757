import type { Key } from "../../../src/key.ts";
import type {
  DeleteResult,
  Outcome,
  Query,
  ReadResult,
  Store,
  Transaction,
} from "../../../src/store.ts";
import { sharedValue, type Defect } from "./defect.ts";
import { WrappedStore } from "./wrapped-store.ts";
import { commitOne, commits } from "./write-defects.ts";

const GONE = "leaves nothing of a deleted key and counts what it removed";
const STARTS_OVER = "starts a deleted key over at version 1 of a new incarnation";

/** Changes what each delete is answered with. */
function answersDeletes(what: string, change: (result: DeleteResult) => DeleteResult): Defect {
  return commits(what, GONE, async (inner, transactions) =>
    (await inner.commit(transactions)).map((outcome) =>
      outcome.outcome === "committed"
        ? { ...outcome, deletes: outcome.deletes.map(change) }
        : outcome,
    ),
  );
}

/** Trims in some other way. */
function trims(
  what: string,
  caughtBy: string,
  trim: (inner: Store, parameters: Parameters<Store["trim"]>) => Promise<number>,
): Defect {
  return {
    what,
    caughtBy,
    spoil: (inner) =>
      new (class extends WrappedStore {
        override trim(...parameters: Parameters<Store["trim"]>): Promise<number> {
          return trim(inner, parameters);
        }
      })(inner),
  };
}

async function headOf(inner: Store, key: Key): Promise<{ incarnation: string; version: number }> {
  const [head] = await inner.read([{ key, select: "latest", value: false }]);
  return typeof head === "object" ? head : { incarnation: "", version: 0 };
}

async function deleteKey(inner: Store, key: Key): Promise<Outcome> {
  return commitOne(inner, {
    request: undefined,
    incarnation: "unused",
    conditions: [],
    puts: [],
    deletes: [key],
    reads: [],
  });
}

export const lifeDefects: readonly Defect[] = [
  {
    what: "deletes nothing",
    caughtBy: GONE,
    spoil: (inner) =>
      new (class extends WrappedStore {
        override async commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
          const kept = transactions.map((one) => ({ ...one, deletes: [] }));
          const heads = transactions.map((one) =>
            Promise.all(one.deletes.map((key) => headOf(inner, key))),
          );
          const counts = await Promise.all(heads);
          return (await inner.commit(kept)).map((outcome, i) =>
            outcome.outcome === "committed"
              ? {
                  ...outcome,
                  deletes: (counts[i] ?? []).map(({ version }) => ({ versions: version })),
                }
              : outcome,
          );
        }
      })(inner),
  },
  answersDeletes("does not count what a delete removed", () => ({ versions: 1 })),
  {
    what: "still reads the versions of a deleted key by number",
    caughtBy: GONE,
    spoil: (inner, context) =>
      new OldVersionsStore(
        inner,
        sharedValue(context, "old", () => new Map<string, ReadResult>()),
      ),
  },
  {
    what: "shows old versions of the key where the new life has none yet",
    caughtBy: "shows nothing of a longer earlier life in a shorter later one",
    spoil: (inner, context) =>
      new OldVersionsStore(
        inner,
        sharedValue(context, "old", () => new Map<string, ReadResult>()),
      ),
  },
  commits("gives every life of a key the same incarnation", STARTS_OVER, (inner, transactions) =>
    inner.commit(
      transactions.map((one) => ({ ...one, incarnation: one.puts[0]?.key.slice(0, 16) ?? "none" })),
    ),
  ),
  {
    what: "goes on counting after a delete",
    caughtBy: STARTS_OVER,
    spoil: (inner, context) => {
      const last = sharedValue(context, "last", () => new Map<Key, number>());
      return commits("", "", async (store, transactions) => {
        for (const key of transactions.flatMap(({ deletes }) => deletes)) {
          last.set(key, (last.get(key) ?? 0) + (await headOf(store, key)).version);
        }
        return (await store.commit(transactions)).map((outcome, i) =>
          outcome.outcome === "committed"
            ? {
                ...outcome,
                puts: outcome.puts.map((put, j) => {
                  const key = transactions[i]?.puts[j]?.key;
                  return {
                    ...put,
                    version: put.version + (key === undefined ? 0 : (last.get(key) ?? 0)),
                  };
                }),
              }
            : outcome,
        );
      }).spoil(inner, context);
    },
  },
  commits(
    "fails to delete a key that does not exist",
    "deletes a key that never was, and deletes twice, with a count of 0",
    async (inner, transactions) =>
      (await inner.commit(transactions)).map((outcome) =>
        outcome.outcome === "committed" && outcome.deletes.some(({ versions }) => versions === 0)
          ? { outcome: "conflict", unmet: [] }
          : outcome,
      ),
  ),
  commits(
    "deletes all keys that begin with the one meant",
    "deletes only the key that is meant among keys that look alike",
    async (inner, transactions) => {
      for (const key of transactions.flatMap(({ deletes }) => deletes)) {
        const alike = await inner.keys({ from: `${key}\0`, to: `${key}\u{10ffff}`, limit: 1000 });
        for (const other of alike) await deleteKey(inner, other.key);
      }
      return inner.commit(transactions);
    },
  ),
  commits(
    "deletes the first key of several",
    "deletes many keys in one batch and in one transaction, and no others",
    (inner, transactions) =>
      inner.commit(transactions.map((one) => ({ ...one, deletes: one.deletes.slice(0, 1) }))),
  ),
  commits(
    "takes all puts of a batch before its deletes",
    "takes puts and deletes of one key in one batch in their order",
    async (inner, transactions) => {
      const order = transactions.toSorted((a, b) => a.deletes.length - b.deletes.length);
      const outcomes = await inner.commit(order);
      return transactions.map((one) => outcomes[order.indexOf(one)] ?? { outcome: "unsupported" });
    },
  ),
  {
    what: "clears a deleted key's name with its housekeeping, whoever has it by then",
    caughtBy: "clears a long history with housekeeping, and nothing of it comes back",
    spoil: (inner, context) => {
      const left = sharedValue(context, "left", () => new Set<Key>());
      const spoiled = commits("", "", (store, transactions) => {
        for (const key of transactions.flatMap(({ deletes }) => deletes)) left.add(key);
        return store.commit(transactions);
      }).spoil(inner, context);
      spoiled.maintain = async (options) => {
        for (const key of left) await deleteKey(inner, key);
        left.clear();
        return inner.maintain(options);
      };
      return spoiled;
    },
  },
  {
    what: "never comes to an end with its housekeeping",
    caughtBy: "clears a long history with housekeeping, and nothing of it comes back",
    spoil: (inner) =>
      new (class extends WrappedStore {
        override async maintain(): Promise<boolean> {
          return true;
        }
      })(inner),
  },
  trims(
    "trims the latest version as well",
    "never trims the latest version, and never gives a number twice",
    async (inner, [key, incarnation, keepFrom, limit]) => {
      const { version } = await headOf(inner, key);
      const removed = await inner.trim(key, incarnation, keepFrom, limit);
      if (keepFrom <= version) return removed;
      await deleteKey(inner, key);
      return removed + 1;
    },
  ),
  trims(
    "trims without looking at the incarnation",
    "does not trim another incarnation, nor a key that does not exist",
    async (inner, [key, , keepFrom, limit]) =>
      inner.trim(key, (await headOf(inner, key)).incarnation, keepFrom, limit),
  ),
  trims(
    "trims without regard to the limit",
    "trims the oldest versions in steps of the limit, up to the one to keep",
    (inner, [key, incarnation, keepFrom]) => inner.trim(key, incarnation, keepFrom, 1_000_000),
  ),
  trims(
    "trims the version to keep as well",
    "trims the oldest versions in steps of the limit, up to the one to keep",
    (inner, [key, incarnation, keepFrom, limit]) =>
      inner.trim(key, incarnation, keepFrom + 1, limit),
  ),
  trims(
    "trims nothing",
    "trims the oldest versions in steps of the limit, up to the one to keep",
    async () => 3,
  ),
  {
    what: "reads a trimmed version as one that never was",
    caughtBy: "trims the oldest versions in steps of the limit, up to the one to keep",
    spoil: (inner) =>
      new (class extends WrappedStore {
        override async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
          const results = await inner.read(queries);
          return results.map((result) => (result === "trimmed" ? undefined : result));
        }
      })(inner),
  },
  {
    what: "reads the first version left as of a time before it",
    caughtBy: "shows no entry as of a time whose version was trimmed",
    spoil: (inner) =>
      new (class extends WrappedStore {
        override async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
          const results = await inner.read(queries);
          const latest = await inner.read(queries.map((one) => ({ ...one, select: "latest" })));
          return results.map((result, i) => (result === "trimmed" ? latest[i] : result));
        }
      })(inner),
  },
  commits(
    "takes an imported entry that does not follow",
    "refuses an imported entry that does not follow the latest",
    (inner, transactions) =>
      inner.commit(
        transactions.map((one) => ({
          ...one,
          puts: one.puts.map((put) =>
            put.imported?.version === 1 ? put : { ...put, imported: undefined },
          ),
        })),
      ),
  ),
  commits(
    "gives imported entries the time of now",
    "keeps version, incarnation, time and metadata of imported entries",
    (inner, transactions, { options }) =>
      inner.commit(
        transactions.map((one) => ({
          ...one,
          puts: one.puts.map((put) => ({
            ...put,
            imported: put.imported && { ...put.imported, createdAt: options.clock.now() },
          })),
        })),
      ),
  ),
  commits(
    "starts an imported history at version 1",
    "starts an imported history above version 1",
    async (inner, transactions) =>
      inner.commit(
        transactions.map((one) => ({
          ...one,
          puts: one.puts.map((put) => ({
            ...put,
            imported: put.imported && { ...put.imported, version: put.imported.version - 40 },
          })),
        })),
      ),
  ),
];

/** Keeps entries by key and version, and forgets to look at the life they are of. */
class OldVersionsStore extends WrappedStore {
  readonly #old: Map<string, ReadResult>;

  constructor(inner: Store, old: Map<string, ReadResult>) {
    super(inner);
    this.#old = old;
  }

  override async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    return (await this.inner.read(queries)).map((result, i) => {
      const query = queries[i];
      const select = query?.select;
      if (typeof select !== "object" || !("version" in select)) return result;
      return result ?? this.#old.get(`${query?.key}/${select.version}`);
    });
  }

  override async commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    for (const key of transactions.flatMap(({ deletes }) => deletes)) {
      const { version } = await headOf(this.inner, key);
      const queries = Array.from({ length: version }, (_, i) => ({
        key,
        select: { version: i + 1 },
        value: true,
      }));
      for (const [i, entry] of (await this.inner.read(queries)).entries()) {
        this.#old.set(`${key}/${i + 1}`, entry);
      }
    }
    return this.inner.commit(transactions);
  }
}
