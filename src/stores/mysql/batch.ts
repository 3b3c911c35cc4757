import type { Key } from "../../key.ts";
import type { Committed, Entry, Outcome, RequestId, Transaction } from "../../store.ts";
import { committed, keysOf, plan, type Heads, type Write } from "../shared/plan.ts";

/** A request id that the store remembers. */
export interface RememberedRequest {
  readonly fingerprint: string;
  readonly outcome: RememberedOutcome;
}

/** What is kept of an outcome; its reads are made anew. */
export type RememberedOutcome = Pick<Committed, "puts" | "deletes">;

/** What a batch is planned from, all of it as of one moment. */
export interface BatchState {
  /** Of every key of the batch. Planning moves them on. */
  readonly heads: Heads;
  /** The latest entry of every key that a transaction reads. Planning moves them on. */
  readonly entries: Map<Key, Entry | undefined>;
  readonly requests: ReadonlyMap<string, RememberedRequest>;
}

/** What a batch comes to, if its writes are made. */
export interface BatchPlan {
  readonly outcomes: readonly Outcome[];
  readonly writes: readonly Write[];
  readonly remember: readonly {
    readonly request: RequestId;
    readonly outcome: RememberedOutcome;
  }[];
}

/** Decides the transactions of a batch one after the other, each seeing what those before it wrote. */
export function planBatch(
  transactions: readonly Transaction[],
  state: BatchState,
  now: number,
): BatchPlan {
  const requests = new Map(state.requests);
  const writes: Write[] = [];
  const remember: { request: RequestId; outcome: RememberedOutcome }[] = [];
  const outcomes = transactions.map((transaction): Outcome => {
    const { request } = transaction;
    const reads = transaction.reads.map((key) => state.entries.get(key));
    const known = request && requests.get(request.id);
    if (request !== undefined && known !== undefined) {
      if (known.fingerprint !== request.fingerprint) return { outcome: "request-reused" };
      return { outcome: "committed", replayed: true, ...known.outcome, reads };
    }
    const planned = plan(transaction, state.heads, now);
    if (planned.outcome === "conflict") return planned;
    for (const write of planned.writes) moveEntries(state.entries, write);
    writes.push(...planned.writes);
    if (request !== undefined) {
      const outcome = { puts: planned.puts, deletes: planned.deletes };
      requests.set(request.id, { fingerprint: request.fingerprint, outcome });
      remember.push({ request, outcome });
    }
    return committed(planned, reads);
  });
  return { outcomes, writes, remember };
}

function moveEntries(entries: Map<Key, Entry | undefined>, write: Write): void {
  if (write.kind === "delete") {
    if (entries.has(write.key)) entries.set(write.key, undefined);
  } else if (entries.has(write.put.key)) {
    entries.set(write.put.key, { ...write.entry, value: write.put.value });
  }
}

/** Every key of a batch, once. */
export function keysOfBatch(transactions: readonly Transaction[]): Key[] {
  const keys = new Set<Key>();
  for (const { conditions, puts, deletes, reads } of transactions) {
    for (const { key } of conditions) keys.add(key);
    for (const { key } of puts) keys.add(key);
    for (const key of deletes) keys.add(key);
    for (const key of reads) keys.add(key);
  }
  return [...keys];
}

/**
 * Whether a key that does not exist must be held against creation: where a transaction comes to something
 * because a key is absent. Nothing does where it only reads, by one statement. An absent key that is
 * itself put needs no hold, as creating it twice fails; nor does a transaction of one key, which may
 * count as done the moment it was looked at, unless it is read too, a moment later.
 */
export function needsHeldAbsence(transaction: Transaction): boolean {
  const { conditions, puts, deletes, reads } = transaction;
  if (conditions.length + puts.length + deletes.length === 0) return false;
  const keys = new Set(keysOf(transaction));
  if (keys.size === 1 && reads.length === 0) return false;
  for (const { key } of puts) keys.delete(key);
  return keys.size > 0;
}

/** Whether all that it touches is the keys it puts: then the puts' own check guards it all. */
export function isPutsOnly(transaction: Transaction): boolean {
  const { puts, deletes, reads, conditions } = transaction;
  if (puts.length === 0 || deletes.length > 0 || reads.length > 0) return false;
  return conditions.every(({ key }) => puts.some((put) => put.key === key));
}

/** Whether it neither writes nor has to be remembered. */
export function isReadOnly({ puts, deletes, request }: Transaction): boolean {
  return puts.length === 0 && deletes.length === 0 && request === undefined;
}

/**
 * Whether an answer tells that something is written, by this commit or by one before it: what others
 * have committed may be seen before it is on disk, and is there when a commit of our own is answered.
 */
export function tellsOfWrites(
  transactions: readonly Transaction[],
  { outcomes }: BatchPlan,
): boolean {
  return outcomes.some(({ outcome }, index) => {
    const transaction = transactions[index];
    return outcome === "committed" && transaction !== undefined && !isReadOnly(transaction);
  });
}
