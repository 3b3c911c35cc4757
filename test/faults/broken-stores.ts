import { setTimeout as sleep } from "node:timers/promises";

import { StateError } from "../../src/errors.ts";
import type { Key } from "../../src/key.ts";
import type { Violation } from "../../src/torture/record.ts";
import type {
  ChangeBatch,
  Cursor,
  EntryInfo,
  HistoryPage,
  Outcome,
  Query,
  ReadResult,
  Store,
  Transaction,
} from "../../src/store.ts";
import { WrappedStore } from "../conformance/broken/wrapped-store.ts";

/** A store with one mistake that people make, and what the checker must call it. */
export interface BrokenStore {
  readonly mistake: string;
  readonly found: readonly Violation["kind"][];
  readonly spoil: (inner: Store) => Store;
}

type Commit = (inner: Store, transactions: readonly Transaction[]) => Promise<readonly Outcome[]>;

function committing(commit: Commit): BrokenStore["spoil"] {
  return (inner) =>
    new (class extends WrappedStore {
      override commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
        return commit(inner, transactions);
      }
    })(inner);
}

function latestOf(transaction: Transaction): Query[] {
  return transaction.puts.map(({ key }) => ({ key, select: "latest", value: false }));
}

/** What a put would become, by what is read now. */
async function predict(inner: Store, transaction: Transaction): Promise<Outcome> {
  const heads = await inner.read(latestOf(transaction));
  return {
    outcome: "committed",
    replayed: false,
    puts: heads.map((head) => {
      const { incarnation, version } =
        typeof head === "object" ? head : { incarnation: transaction.incarnation, version: 0 };
      return { incarnation, version: version + 1, createdAt: 0 };
    }),
    deletes: [],
    reads: [],
  };
}

function isPlainPut({ puts, conditions, deletes, request }: Transaction): boolean {
  return puts.length > 0 && conditions.length + deletes.length === 0 && request === undefined;
}

/** Every so many calls of a function, true. */
function every(count: number): () => boolean {
  let calls = 0;
  return () => (calls += 1) % count === 0;
}

/** Answers by what was read before the write, as count-then-insert does. */
const countThenInsert: Commit = async (inner, transactions) => {
  const predicted = await Promise.all(transactions.map((one) => predict(inner, one)));
  await sleep(1);
  const outcomes = await inner.commit(transactions);
  return outcomes.map((outcome, index) => {
    const guess = predicted[index];
    if (outcome.outcome !== "committed" || guess?.outcome !== "committed") return outcome;
    return outcome.puts.length === 0 ? outcome : { ...outcome, puts: guess.puts };
  });
};

/** Answers puts at once, and writes them a little later. */
const acknowledgeFirst: Commit = async (inner, transactions) => {
  if (!transactions.every(isPlainPut)) return inner.commit(transactions);
  const outcomes = await Promise.all(transactions.map((one) => predict(inner, one)));
  // One that comes after the end of the run is lost, as it would be with a process that ends.
  void sleep(20).then(() => inner.commit(transactions).catch(() => {}));
  return outcomes;
};

/** Sends a batch again now and then, as after an answer that was lost. */
function retryBlindly(): Commit {
  const isLost = every(10);
  return async (inner, transactions) => {
    const outcomes = await inner.commit(transactions);
    return isLost() ? inner.commit(transactions) : outcomes;
  };
}

/** Loses a write that it has acknowledged now and then, as an unflushed log does at a crash. */
function loseSome(): Commit {
  const isLost = every(10);
  return async (inner, transactions) =>
    transactions.every(isPlainPut) && isLost()
      ? Promise.all(transactions.map((one) => predict(inner, one)))
      : inner.commit(transactions);
}

/** Weighs conditions, and writes a little later whatever has happened meanwhile. */
const checkThenWrite: Commit = async (inner, transactions) => {
  const checks = transactions.map((one) => ({ ...one, puts: [], deletes: [], request: undefined }));
  const checked = await inner.commit(checks);
  await sleep(5);
  return Promise.all(
    transactions.map(async (one, index) => {
      const check = checked[index];
      if (check !== undefined && check.outcome !== "committed") return check;
      const [outcome] = await inner.commit([{ ...one, conditions: [] }]);
      return outcome ?? { outcome: "unsupported" };
    }),
  );
};

const withoutIncarnation: Commit = (inner, transactions) =>
  inner.commit(transactions.map((one) => ({ ...one, incarnation: "always" })));

/** Answers reads some time after they were made. */
class SlowReads extends WrappedStore {
  override async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    const found = await this.inner.read(queries);
    await sleep(30);
    return found;
  }
}

/**
 * Gives some writes up, as at a deadline, and then they happen after all: when the history of their key
 * has been read, as it is at the end of a run.
 */
class LateWrites extends WrappedStore {
  readonly #isLate = every(5);
  #late: readonly Transaction[] = [];

  override async commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    if (!this.#isLate()) return this.inner.commit(transactions);
    this.#late = [...this.#late, ...transactions];
    throw new StateError("outcome_unknown", "The store did not answer in time.");
  }

  override async history(key: Key, page: HistoryPage): Promise<readonly EntryInfo[]> {
    const found = await this.inner.history(key, page);
    const isOf = ({ puts, deletes }: Transaction): boolean =>
      deletes.includes(key) || puts.some((put) => put.key === key);
    const due = this.#late.filter(isOf);
    this.#late = this.#late.filter((one) => !isOf(one));
    if (due.length > 0) {
      await this.inner.commit(due);
      // Time for watchers to be told, before this answer tells of what was there before.
      await sleep(200);
    }
    return found;
  }
}

/** Answers reads from a cache that another process's writes do not reach. */
class CachedReads extends WrappedStore {
  readonly #cache = new Map<string, { readonly result: ReadResult; left: number }>();

  override async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    return Promise.all(
      queries.map(async (query) => {
        const name = JSON.stringify(query);
        const cached = this.#cache.get(name);
        if (cached !== undefined && cached.left > 0) {
          cached.left -= 1;
          return cached.result;
        }
        const [result] = await this.inner.read([query]);
        this.#cache.set(name, { result, left: 2 });
        return result;
      }),
    );
  }
}

/** A feed that passes over changes which commit out of order, as one by auto-increment does. */
class FeedWithHoles extends WrappedStore {
  override async *changes(after: Cursor | "now", signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const isMissed = every(15);
    for await (const batch of this.inner.changes(after, signal)) {
      yield { ...batch, changes: batch.changes.filter(() => !isMissed()) };
    }
  }
}

/** A feed that starts a little too early when a reader comes back. */
class FeedThatRepeats extends WrappedStore {
  override async *changes(after: Cursor | "now", signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const isRepeated = every(20);
    for await (const batch of this.inner.changes(after, signal)) {
      const changes = batch.changes.flatMap((each) => (isRepeated() ? [each, each] : [each]));
      yield { ...batch, changes };
    }
  }
}

/** Dates entries by a clock that steps back now and then, and not by the version before. */
class FalseMoments extends WrappedStore {
  override async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    const found = await this.inner.read(queries);
    return found.map((entry) => {
      if (typeof entry !== "object" || entry.version % 3 > 0) return entry;
      return { ...entry, createdAt: entry.createdAt - 3_600_000 };
    });
  }
}

export const BROKEN_STORES: readonly BrokenStore[] = [
  {
    mistake: "counts, then inserts",
    found: ["changed", "lost", "doubled"],
    spoil: committing(countThenInsert),
  },
  {
    mistake: "acknowledges before it has written",
    found: ["order", "changed", "lost"],
    spoil: committing(acknowledgeFirst),
  },
  {
    mistake: "sends a batch again without a request id",
    found: ["doubled", "phantom", "condition", "delete"],
    spoil: (inner) => committing(retryBlindly())(inner),
  },
  {
    mistake: "loses acknowledged writes",
    found: ["lost", "changed"],
    spoil: (inner) => committing(loseSome())(inner),
  },
  {
    mistake: "checks conditions before it writes",
    found: ["condition"],
    spoil: committing(checkThenWrite),
  },
  {
    mistake: "names entries without their incarnation",
    found: ["feed", "delete", "changed", "doubled"],
    spoil: committing(withoutIncarnation),
  },
  {
    mistake: "caches the latest version in each process",
    found: ["order"],
    spoil: (inner) => new CachedReads(inner),
  },
  {
    mistake: "has a feed with holes",
    found: ["feed", "hole"],
    spoil: (inner) => new FeedWithHoles(inner),
  },
  {
    mistake: "has a feed that repeats itself",
    found: ["feed", "doubled"],
    spoil: (inner) => new FeedThatRepeats(inner),
  },
  {
    mistake: "dates entries by a clock that steps back",
    found: ["time"],
    spoil: (inner) => new FalseMoments(inner),
  },
];

/** What the checker must not blame. */
export const SOUND_STORES: readonly (Pick<BrokenStore, "spoil"> & { readonly manner: string })[] = [
  { manner: "however slowly it reads", spoil: (inner) => new SlowReads(inner) },
  { manner: "however late it writes what was given up", spoil: (inner) => new LateWrites(inner) },
];
