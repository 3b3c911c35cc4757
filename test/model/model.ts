import { compareKeys, type Key } from "../../src/key.ts";
import type {
  Condition,
  EntryInfo,
  EntryRef,
  HistoryPage,
  KeysPage,
  Put,
  Select,
  Transaction,
} from "../../src/store.ts";

/** A version as the model knows it. Times are the store's own, learned from its answers. */
export interface ModelEntry extends EntryRef {
  readonly value: Uint8Array;
  readonly put: Put;
  createdAt: number;
}

interface Life {
  readonly entries: ModelEntry[];
  trimmed: number;
}

/** What the model expects of a transaction. */
export type Expected =
  | { readonly outcome: "conflict"; readonly unmet: readonly number[] }
  | { readonly outcome: "request-reused" }
  | {
      readonly outcome: "committed";
      readonly replayed: boolean;
      readonly puts: readonly EntryRef[];
      readonly deletes: readonly number[];
      readonly reads: readonly (ModelEntry | undefined)[];
    };

interface Remembered {
  readonly fingerprint: string;
  readonly expected: Extract<Expected, { outcome: "committed" }>;
}

/** A store in a few lines, as plainly as the contract says it, without a feed. */
export class Model {
  readonly #lives = new Map<Key, Life>();
  readonly #requests = new Map<string, Remembered>();

  commit(transaction: Transaction): Expected {
    const { request } = transaction;
    const reads = transaction.reads.map((key) => this.latest(key));
    const known = request && this.#requests.get(request.id);
    if (known !== undefined) {
      if (known.fingerprint !== request?.fingerprint) return { outcome: "request-reused" };
      return { ...known.expected, replayed: true, reads };
    }
    const unmet = transaction.conditions.flatMap((one, i) => (this.#holds(one) ? [] : [i]));
    if (unmet.length > 0) return { outcome: "conflict", unmet };
    const puts = transaction.puts.map((put) => this.#put(put, transaction.incarnation));
    const deletes = transaction.deletes.map((key) => this.#delete(key));
    const expected = { outcome: "committed", replayed: false, puts, deletes, reads } as const;
    if (request !== undefined) {
      this.#requests.set(request.id, { fingerprint: request.fingerprint, expected });
    }
    return expected;
  }

  latest(key: Key): ModelEntry | undefined {
    return this.#lives.get(key)?.entries.at(-1);
  }

  read(key: Key, select: Select): ModelEntry | "trimmed" | undefined {
    const life = this.#lives.get(key);
    if (life === undefined || select === "latest") return this.latest(key);
    if ("asOf" in select) {
      const found = life.entries.findLast((entry) => entry.createdAt <= select.asOf);
      return found ?? (life.trimmed > 0 ? "trimmed" : undefined);
    }
    if (select.version <= life.trimmed) return "trimmed";
    return life.entries[select.version - life.trimmed - 1];
  }

  history(key: Key, page: HistoryPage): readonly ModelEntry[] {
    const entries = this.#lives.get(key)?.entries ?? [];
    const found =
      page.order === "oldest-first"
        ? entries.filter(({ version }) => version > page.after)
        : entries.filter(({ version }) => version < (page.before ?? Infinity)).toReversed();
    return found.slice(0, page.limit);
  }

  keys({ from, to, limit }: KeysPage): readonly Key[] {
    return [...this.#lives.keys()]
      .filter((key) => compareKeys(key, from) >= 0)
      .filter((key) => to === undefined || compareKeys(key, to) < 0)
      .toSorted(compareKeys)
      .slice(0, limit);
  }

  trim(key: Key, incarnation: string, keepFrom: number, limit: number): number {
    const life = this.#lives.get(key);
    const latest = this.latest(key);
    if (life === undefined || latest?.incarnation !== incarnation) return 0;
    const end = Math.min(keepFrom, latest.version) - 1;
    const count = Math.max(0, Math.min(limit, end - life.trimmed));
    life.entries.splice(0, count);
    life.trimmed += count;
    return count;
  }

  #put(put: Put, incarnation: string): EntryRef {
    const life = this.#lives.get(put.key) ?? { entries: [], trimmed: 0 };
    const last = life.entries.at(-1);
    const entry: ModelEntry = {
      incarnation: last?.incarnation ?? incarnation,
      version: (last?.version ?? 0) + 1,
      createdAt: Number.NaN,
      value: put.value,
      put,
    };
    life.entries.push(entry);
    this.#lives.set(put.key, life);
    return { incarnation: entry.incarnation, version: entry.version };
  }

  #delete(key: Key): number {
    const count = this.#lives.get(key)?.entries.length ?? 0;
    this.#lives.delete(key);
    return count;
  }

  #holds(condition: Condition): boolean {
    const latest = this.latest(condition.key);
    const isLatest = (entry: EntryRef): boolean =>
      latest?.version === entry.version && latest.incarnation === entry.incarnation;
    switch (condition.kind) {
      case "absent":
        return latest === undefined;
      case "present":
        return latest !== undefined;
      case "version":
        return latest?.version === condition.version;
      case "entry":
        return condition.entries.some(isLatest);
      case "not-entry":
        return !condition.entries.some(isLatest);
    }
  }
}

/** The metadata that a store has to show of an entry. */
export function infoOf({ incarnation, version, createdAt, put }: ModelEntry): EntryInfo {
  return {
    incarnation,
    version,
    createdAt,
    size: put.value.byteLength,
    digest: put.digest,
    contentType: put.contentType,
    author: put.author,
    message: put.message,
  };
}
