import type { Outcome, Store, Transaction } from "../../../src/store.ts";
import { sharedValue, type Defect } from "./defect.ts";
import { WrappedStore } from "./wrapped-store.ts";

const AFTER_CLOSE = "refuses every call after close with store_unavailable";

export const closeDefects: readonly Defect[] = [
  {
    what: "goes on after it was closed",
    caughtBy: AFTER_CLOSE,
    spoil: (inner) =>
      new (class extends WrappedStore {
        override async close(): Promise<void> {}
      })(inner),
  },
  {
    what: "fails with an error of its driver after it was closed",
    caughtBy: AFTER_CLOSE,
    spoil: (inner) =>
      new (class extends WrappedStore {
        override async ping(): Promise<void> {
          await inner.ping().catch(() => {
            throw new Error("socket hang up");
          });
        }
      })(inner),
  },
  {
    what: "fails when it is closed twice",
    caughtBy: "can be closed twice, and at once",
    spoil: (inner) =>
      new (class extends WrappedStore {
        #isClosed = false;
        override async close(): Promise<void> {
          if (this.#isClosed) throw new Error("already closed");
          this.#isClosed = true;
          await inner.close();
        }
      })(inner),
  },
  {
    what: "drops the calls under way when it is closed",
    caughtBy: "finishes the calls under way before it closes",
    spoil: (inner) =>
      new (class extends WrappedStore {
        readonly #closing = Promise.withResolvers<never>();
        override commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
          return Promise.race([inner.commit(transactions), this.#closing.promise]);
        }
        override async close(): Promise<void> {
          this.#closing.promise.catch(() => {});
          this.#closing.reject(new Error("closed"));
          await inner.close();
        }
      })(inner),
  },
  {
    what: "loses what was acknowledged last when its process is killed",
    caughtBy: "has all that was acknowledged after its process was killed",
    spoil: (inner, context) => {
      const unsynced = sharedValue(context, "unsynced", () => new Set<string>());
      return new LosingStore(inner, unsynced);
    },
  },
  {
    what: "starts empty when it is opened again",
    caughtBy: "shows after a reopen what was there before",
    spoil: (inner, context) => {
      const generations = sharedValue(context, "generations", () => ({ count: 0 }));
      generations.count += 1;
      return new EmptyStore(inner, generations.count > 1);
    },
  },
  {
    what: "says that several processes can share it where its test says that they can't",
    caughtBy: "says of itself what its test file declares",
    facts: { shared: false },
    spoil: (inner) => inner,
  },
];

/** Loses the writes of the instance that was open before, as a store does that never wrote them. */
class EmptyStore extends WrappedStore {
  readonly #isEmpty: boolean;

  constructor(inner: Store, isEmpty: boolean) {
    super(inner);
    this.#isEmpty = isEmpty;
  }

  override async history(
    ...parameters: Parameters<Store["history"]>
  ): ReturnType<Store["history"]> {
    return this.#isEmpty ? [] : this.inner.history(...parameters);
  }
}

/** Shows the last writes to the instance that made them alone: nobody else ever sees them. */
class LosingStore extends WrappedStore {
  readonly #unsynced: Set<string>;
  readonly #own = new Set<string>();

  constructor(inner: Store, unsynced: Set<string>) {
    super(inner);
    this.#unsynced = unsynced;
  }

  override async commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    const outcomes = await this.inner.commit(transactions);
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.outcome !== "committed") continue;
      for (const [j, { incarnation, version }] of outcome.puts.entries()) {
        const entry = `${transactions[i]?.puts[j]?.key}/${incarnation}/${version}`;
        this.#unsynced.add(entry);
        this.#own.add(entry);
      }
    }
    return outcomes;
  }

  override async read(...parameters: Parameters<Store["read"]>): ReturnType<Store["read"]> {
    const [queries] = parameters;
    return (await this.inner.read(queries)).map((result, i) => {
      if (typeof result !== "object") return result;
      const entry = `${queries[i]?.key}/${result.incarnation}/${result.version}`;
      return this.#unsynced.has(entry) && !this.#own.has(entry) ? undefined : result;
    });
  }
}
