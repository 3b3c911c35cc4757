import { setImmediate as turn } from "node:timers/promises";
import type {
  Condition,
  Outcome,
  Query,
  ReadResult,
  Store,
  Transaction,
} from "../../../src/store.ts";
import { sharedValue, type Defect, type SpoilContext } from "./defect.ts";
import { WrappedStore } from "./wrapped-store.ts";

type Commit = (
  inner: Store,
  transactions: readonly Transaction[],
  context: SpoilContext,
) => Promise<readonly Outcome[]>;

/** A store that commits in some other way. */
export function commits(
  what: string,
  caughtBy: string,
  commit: Commit,
  facts: Defect["facts"] = {},
): Defect {
  return {
    what,
    caughtBy,
    facts,
    spoil: (inner, context) =>
      new (class extends WrappedStore {
        override commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
          return commit(inner, transactions, context);
        }
      })(inner),
  };
}

/** Commits one transaction after another, each in a batch of its own. */
async function eachAlone(
  transactions: readonly Transaction[],
  commitAlone: (transaction: Transaction) => Promise<Outcome>,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const transaction of transactions) outcomes.push(await commitAlone(transaction));
  return outcomes;
}

export async function commitOne(inner: Store, transaction: Transaction): Promise<Outcome> {
  const [outcome] = await inner.commit([transaction]);
  if (outcome === undefined) throw new Error("one transaction has one outcome");
  return outcome;
}

/** Weighs conditions differently. */
const changingConditions =
  (change: (condition: Condition) => Condition): Commit =>
  (inner, transactions) =>
    inner.commit(transactions.map((one) => ({ ...one, conditions: one.conditions.map(change) })));

const WEIGHS = "weighs every kind of condition on a key that exists";
const ALL_OR_NOTHING =
  "writes nothing of a transaction with one unmet condition, wherever it stands";

/** Acts on the number that it has read before, while others write. */
async function countThenPut(inner: Store, transaction: Transaction): Promise<Outcome> {
  const queries = transaction.puts.map(({ key }): Query => ({
    key,
    select: "latest",
    value: false,
  }));
  const heads = await inner.read(queries);
  await turn();
  const outcome = await commitOne(inner, transaction);
  if (outcome.outcome !== "committed") return outcome;
  const puts = outcome.puts.map((put, i) => {
    const head = heads[i];
    const count = typeof head === "object" ? head.version : 0;
    return { ...put, version: count + 1 };
  });
  return { ...outcome, puts };
}

/** Decides on what it has read, and writes a little later whatever happened meanwhile. */
async function checkThenWrite(inner: Store, transaction: Transaction): Promise<Outcome> {
  const { conditions } = transaction;
  const checked = await commitOne(inner, { ...transaction, puts: [], deletes: [], reads: [] });
  if (checked.outcome !== "committed" || conditions.length === 0) {
    return checked.outcome === "committed" ? commitOne(inner, transaction) : checked;
  }
  return commitOne(inner, { ...transaction, conditions: [] });
}

/** Writes each key by itself: conditions of one key hold up that key alone. */
async function keyByKey(inner: Store, transaction: Transaction): Promise<Outcome> {
  const whole = await commitOne(inner, { ...transaction, puts: [], deletes: [] });
  const parts = [
    ...transaction.puts.map((put) => ({ key: put.key, puts: [put], deletes: [] })),
    ...transaction.deletes.map((key) => ({ key, puts: [], deletes: [key] })),
  ];
  const outcomes: Outcome[] = [];
  for (const { key, puts, deletes } of parts) {
    const conditions = transaction.conditions.filter((condition) => condition.key === key);
    const part = { ...transaction, conditions, puts, deletes, reads: [] };
    outcomes.push(await commitOne(inner, part));
  }
  if (whole.outcome !== "committed") return whole;
  const done = outcomes.flatMap((one) => (one.outcome === "committed" ? [one] : []));
  return {
    ...whole,
    puts: done.flatMap(({ puts }) => puts),
    deletes: done.flatMap(({ deletes }) => deletes),
  };
}

export const writeDefects: readonly Defect[] = [
  commits(
    "numbers a version by counting those that it read before",
    "numbers the puts of fifty writers in one process 1 to n, every value once",
    (inner, transactions) => eachAlone(transactions, (one) => countThenPut(inner, one)),
  ),
  commits(
    "numbers versions from 0",
    "numbers the versions of a key 1, 2, 3 and reads each of them back for ever",
    async (inner, transactions) =>
      (await inner.commit(transactions)).map((outcome) =>
        outcome.outcome === "committed"
          ? { ...outcome, puts: outcome.puts.map((put) => ({ ...put, version: put.version - 1 })) }
          : outcome,
      ),
  ),
  commits(
    "takes createdAt from the clock alone",
    "never lets createdAt go back when the clock does",
    async (inner, transactions, { options }) =>
      (await inner.commit(transactions)).map((outcome) =>
        outcome.outcome === "committed"
          ? {
              ...outcome,
              puts: outcome.puts.map((put) => ({ ...put, createdAt: options.clock.now() })),
            }
          : outcome,
      ),
  ),
  commits(
    "takes the transactions of a batch in the reverse order",
    "commits many transactions to one key in one batch, in the order given",
    async (inner, transactions) => (await inner.commit(transactions.toReversed())).toReversed(),
  ),
  commits(
    "answers the outcomes of a batch with the conflicts last",
    "lets each transaction of a batch see what those before it did",
    async (inner, transactions) => {
      const outcomes = await inner.commit(transactions);
      const isConflict = ({ outcome }: Outcome): boolean => outcome === "conflict";
      return [...outcomes.filter((one) => !isConflict(one)), ...outcomes.filter(isConflict)];
    },
  ),
  commits(
    "fails a batch as a whole for one unmet condition",
    "touches no neighbour in a batch with one unmet condition",
    async (inner, transactions) => {
      const checks = await Promise.all(
        transactions.map((one) => commitOne(inner, { ...one, puts: [], deletes: [] })),
      );
      const unmet = checks.find(({ outcome }) => outcome === "conflict");
      return unmet === undefined ? inner.commit(transactions) : transactions.map(() => unmet);
    },
  ),
  commits(
    "weighs the conditions of a batch before any of its writes",
    "lets one of fifty conditional writers of a batch win",
    async (inner, transactions) => {
      const checks = await inner.commit(
        transactions.map((one) => ({ ...one, request: undefined, puts: [], deletes: [] })),
      );
      const met = (i: number): boolean => checks[i]?.outcome === "committed";
      return eachAlone(transactions, (one) =>
        commitOne(inner, met(transactions.indexOf(one)) ? { ...one, conditions: [] } : one),
      );
    },
  ),
  commits("writes first and weighs the conditions then", WEIGHS, (inner, transactions) =>
    eachAlone(transactions, async (one) => {
      const check = await commitOne(inner, { ...one, puts: [], deletes: [] });
      const written = await commitOne(inner, { ...one, conditions: [] });
      return check.outcome === "conflict" ? check : written;
    }),
  ),
  commits(
    "weighs conditions some time before it writes",
    "lets one of fifty conditional writers win when each calls on its own",
    (inner, transactions) => eachAlone(transactions, (one) => checkThenWrite(inner, one)),
  ),
  commits(
    "takes an entry by its version alone",
    "does not take an entry of an earlier life for the one of now",
    changingConditions((condition) => {
      const [entry] = condition.kind === "entry" ? condition.entries : [];
      return entry === undefined
        ? condition
        : { kind: "version", key: condition.key, version: entry.version };
    }),
  ),
  commits(
    "takes any older version for the expected one",
    WEIGHS,
    changingConditions((condition) =>
      condition.kind === "version" ? { kind: "present", key: condition.key } : condition,
    ),
  ),
  commits(
    "looks at the first of several entries only",
    WEIGHS,
    changingConditions((condition) =>
      condition.kind === "entry" || condition.kind === "not-entry"
        ? { ...condition, entries: condition.entries.slice(0, 1) }
        : condition,
    ),
  ),
  commits(
    "looks at the first of several conditions only",
    "weighs several conditions on one key together",
    (inner, transactions) =>
      inner.commit(transactions.map((one) => ({ ...one, conditions: one.conditions.slice(0, 1) }))),
  ),
  commits(
    "takes a key that does not exist for one that is not excluded by mistake",
    "weighs every kind of condition on a key that does not exist",
    changingConditions((condition) =>
      condition.kind === "not-entry" && condition.entries.length > 0
        ? { kind: "present", key: condition.key }
        : condition,
    ),
  ),
  commits(
    "names the first unmet condition alone",
    "names every unmet condition with what the key's latest was instead",
    async (inner, transactions) =>
      (await inner.commit(transactions)).map((outcome) =>
        outcome.outcome === "conflict" ? { ...outcome, unmet: outcome.unmet.slice(0, 1) } : outcome,
      ),
  ),
  commits(
    "puts no condition on a delete",
    "puts a condition on a delete, which then removes all or nothing",
    (inner, transactions) =>
      inner.commit(
        transactions.map((one) => (one.deletes.length > 0 ? { ...one, conditions: [] } : one)),
      ),
  ),
  commits(
    "writes the keys of a transaction one by one, each under its own conditions",
    ALL_OR_NOTHING,
    (inner, transactions) => eachAlone(transactions, (one) => keyByKey(inner, one)),
  ),
  commits(
    "lets a transaction be seen while it is under way",
    "shows no half of a transaction to a read of all its keys",
    (inner, transactions) => eachAlone(transactions, (one) => keyByKey(inner, one)),
  ),
  commits(
    "reads in a transaction what its own writes made",
    "reads in a transaction what was there just before its writes",
    (inner, transactions) =>
      eachAlone(transactions, async (one) => {
        const outcome = await commitOne(inner, { ...one, reads: [] });
        if (outcome.outcome !== "committed") return outcome;
        const after = await commitOne(inner, {
          ...one,
          request: undefined,
          conditions: [],
          puts: [],
          deletes: [],
        });
        return after.outcome === "committed" ? { ...outcome, reads: after.reads } : outcome;
      }),
  ),
  commits(
    "takes a hundred items of a transaction and forgets the rest",
    "takes as many conditions, writes and reads as a transaction may hold",
    (inner, transactions) =>
      inner.commit(transactions.map((one) => ({ ...one, puts: one.puts.slice(0, 100) }))),
  ),
  commits(
    "writes keys one by one that it can't take together",
    "refuses keys that it can't take together, and writes none of them",
    (inner, transactions) => eachAlone(transactions, (one) => keyByKey(inner, one)),
    { transactions: "one-tag" },
  ),
  {
    what: "acknowledges a write before a read can see it",
    caughtBy: "numbers the versions of a key 1, 2, 3 and reads each of them back for ever",
    spoil: (inner) =>
      new (class extends WrappedStore {
        #before: Promise<readonly ReadResult[]> | undefined;
        override async commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
          this.#before = this.#readAll(transactions);
          await this.#before;
          return inner.commit(transactions);
        }
        override async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
          const before = await this.#before;
          this.#before = undefined;
          return before?.length === queries.length ? before : inner.read(queries);
        }
        #readAll(transactions: readonly Transaction[]): Promise<readonly ReadResult[]> {
          const puts = transactions.flatMap((one) => one.puts);
          return inner.read(puts.map(({ key }) => ({ key, select: "latest", value: true })));
        }
      })(inner),
  },
  {
    what: "answers reads from what its own instance has seen",
    caughtBy: "shows an acknowledged write to every other instance at once",
    spoil: (inner, context) => {
      const writer = sharedValue(context, "writer", (): { last: Store | undefined } => ({
        last: undefined,
      }));
      return new (class extends WrappedStore {
        override commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
          writer.last = this;
          return inner.commit(transactions);
        }
        override async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
          const isStale = writer.last !== undefined && writer.last !== this;
          return isStale ? queries.map(() => undefined) : inner.read(queries);
        }
      })(inner);
    },
  },
];
