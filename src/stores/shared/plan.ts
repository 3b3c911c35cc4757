import type { Key } from "../../key.ts";
import type {
  Condition,
  Committed,
  DeleteResult,
  EntryInfo,
  EntryRef,
  ImportedEntry,
  Put,
  PutResult,
  Transaction,
  Unmet,
} from "../../store.ts";

/** What a store keeps of a key's latest state; undefined stands for a key that does not exist. */
export interface Head extends EntryRef {
  /** `createdAt` of the latest version, in milliseconds. */
  readonly createdAt: number;
  /** The first version that retention has left. */
  readonly firstVersion: number;
}

/** The heads that a batch works on: read by the store under its own lock, moved on by `plan`. */
export type Heads = Map<Key, Head | undefined>;

/** A write that a store has to carry out, in this order. */
export type Write =
  | { readonly kind: "put"; readonly put: Put; readonly entry: NewEntry }
  | { readonly kind: "delete"; readonly key: Key; readonly head: Head; readonly at: number };

export type NewEntry = EntryInfo;

export type Planned =
  | {
      readonly outcome: "committed";
      readonly writes: readonly Write[];
      readonly puts: readonly PutResult[];
      readonly deletes: readonly DeleteResult[];
    }
  | { readonly outcome: "conflict"; readonly unmet: readonly Unmet[] };

/**
 * Decides one transaction against the heads, and moves the heads on. It is the one place where
 * versions are numbered, times are made monotone and conditions are weighed, for every store that can
 * hold its heads still while it runs (Redis does the same inside its script).
 *
 * `heads` must have an item, perhaps undefined, for every key of the transaction.
 */
export function plan(transaction: Transaction, heads: Heads, now: number): Planned {
  const unmet = findUnmet(transaction, heads);
  if (unmet.length > 0) return { outcome: "conflict", unmet };

  const writes: Write[] = [];
  const puts = transaction.puts.map((put) => {
    const entry = nextEntry(put, heads.get(put.key), transaction.incarnation, now);
    heads.set(put.key, {
      incarnation: entry.incarnation,
      version: entry.version,
      createdAt: entry.createdAt,
      firstVersion: heads.get(put.key)?.firstVersion ?? entry.version,
    });
    writes.push({ kind: "put", put, entry });
    return {
      incarnation: entry.incarnation,
      version: entry.version,
      createdAt: entry.createdAt,
    };
  });
  const deletes = transaction.deletes.map((key) => {
    const head = heads.get(key);
    if (head === undefined) return { versions: 0 };
    heads.set(key, undefined);
    writes.push({ kind: "delete", key, head, at: Math.max(now, head.createdAt) });
    return { versions: head.version - head.firstVersion + 1 };
  });
  return { outcome: "committed", writes, puts, deletes };
}

/** Conditions see the heads as they were before the transaction's own writes. */
function findUnmet(transaction: Transaction, heads: Heads): readonly Unmet[] {
  const unmet: Unmet[] = [];
  transaction.conditions.forEach((condition, index) => {
    const current = heads.get(condition.key);
    if (!holds(condition, current)) unmet.push(describeUnmet(index, condition.key, current));
  });
  for (const put of transaction.puts) {
    const current = heads.get(put.key);
    if (put.imported !== undefined && !follows(put.imported, current)) {
      unmet.push(describeUnmet(-1, put.key, current));
    }
  }
  return unmet;
}

function describeUnmet(condition: number, key: Key, head: Head | undefined): Unmet {
  const current = head && { incarnation: head.incarnation, version: head.version };
  return { condition, key, current };
}

function holds(condition: Condition, current: EntryRef | undefined): boolean {
  switch (condition.kind) {
    case "absent":
      return current === undefined;
    case "present":
      return current !== undefined;
    case "version":
      return current?.version === condition.version;
    case "entry":
      return condition.entries.some((entry) => isSame(entry, current));
    case "not-entry":
      return !condition.entries.some((entry) => isSame(entry, current));
  }
}

function isSame(a: EntryRef, b: EntryRef | undefined): boolean {
  return a.version === b?.version && a.incarnation === b.incarnation;
}

function follows(imported: ImportedEntry, current: EntryRef | undefined): boolean {
  if (current === undefined) return true;
  return imported.incarnation === current.incarnation && imported.version === current.version + 1;
}

function nextEntry(put: Put, head: Head | undefined, incarnation: string, now: number): NewEntry {
  const { imported } = put;
  return {
    incarnation: imported?.incarnation ?? head?.incarnation ?? incarnation,
    version: imported?.version ?? (head?.version ?? 0) + 1,
    createdAt: imported?.createdAt ?? Math.max(now, head?.createdAt ?? 0),
    size: put.value.byteLength,
    digest: put.digest,
    contentType: put.contentType,
    author: put.author,
    message: put.message,
  };
}

/** Every key that a transaction's decision depends on, in no order, perhaps repeated. */
export function keysOf({ conditions, puts, deletes, reads }: Transaction): Key[] {
  const keys: Key[] = [];
  for (const { key } of conditions) keys.push(key);
  for (const { key } of puts) keys.push(key);
  keys.push(...deletes, ...reads);
  return keys;
}

/** The outcome to answer once the planned writes have been made durable. */
export function committed(
  planned: Extract<Planned, { outcome: "committed" }>,
  reads: Committed["reads"],
): Committed {
  const { puts, deletes } = planned;
  return { outcome: "committed", replayed: false, puts, deletes, reads };
}
