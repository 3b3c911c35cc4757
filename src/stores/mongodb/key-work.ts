import type { Key } from "../../key.ts";
import type { DeleteResult, Entry, Outcome, Transaction } from "../../store.ts";
import { committed, plan, type Head, type Heads, type Planned } from "../shared/plan.ts";
import {
  firstVersionOf,
  toRequestDocument,
  type KeyState,
  type RequestDocument,
} from "./documents.ts";
import { replayOf, type FoundRequests } from "./requests.ts";
import type { SegmentIds } from "./segment-ids.ts";
import { SegmentBuilder, type Answer, type PlannedKey, type PlannedSegment } from "./segments.ts";

/** A transaction of one key, and its place in the batch. */
export interface Item {
  readonly index: number;
  readonly transaction: Transaction;
}

/** What one key's transactions are decided from. */
export interface Basis {
  readonly state: KeyState;
  /** The first version that retention has left, where it has ever been there. */
  readonly floor: number | undefined;
  /** The latest entry; only where a transaction reads it. */
  readonly latest: Entry | undefined;
  /** False where it was remembered: then it may be stale, and only an insert can tell. */
  readonly fresh: boolean;
}

/** What is left to do for one key of a batch. */
export class KeyWork {
  readonly key: Key;
  /** Not answered yet, in order. */
  readonly waiting: Item[] = [];
  /** Planned and not in place yet; the first goes next. */
  segments: PlannedSegment[] = [];
  /** True where a lost answer may have been to the insert of the first segment. */
  sent = false;
  /** True once memory has proved stale, or cannot decide. */
  mustRead = false;
  losses = 0;
  /** A place that was found taken: memory that aims no higher is stale. */
  taken = 0;

  constructor(key: Key) {
    this.key = key;
  }

  get readsValues(): boolean {
    return this.waiting.some(({ transaction }) => transaction.reads.length > 0);
  }

  get deletes(): boolean {
    return this.waiting.some(({ transaction }) => transaction.deletes.length > 0);
  }

  /** Takes the answered transactions off the list; answers come in the order of the list. */
  settle(answers: readonly Answer[]): void {
    this.waiting.splice(0, answers.length);
  }

  /** Whoever has changed the key meanwhile has changed what everything here was decided from. */
  startOver(): void {
    this.segments = [];
    this.sent = false;
    this.mustRead = true;
  }

  /** After a lost race: memory is good again once it has heard of whoever won. */
  lose(): void {
    this.losses += 1;
    this.taken = this.segments[0]?.document.s ?? 0;
    this.segments = [];
    this.sent = false;
  }
}

/** What all keys of a batch are planned with. */
export interface Planning {
  readonly found: FoundRequests;
  readonly now: number;
  readonly ids: SegmentIds;
}

/** Decides one key's transactions in order, each seeing what the ones before it will have written. */
export function planKey(work: KeyWork, basis: Basis, { found, now, ids }: Planning): PlannedKey {
  const builder = new SegmentBuilder(work.key, basis.state, ids);
  const heads: Heads = new Map([[work.key, toHead(basis)]]);
  const known = new Map<string, RequestDocument>(found);
  let { latest } = basis;
  for (const { index, transaction } of work.waiting) {
    const reads = transaction.reads.map(() => latest);
    const replay = replayOf(transaction.request, known);
    if (replay !== undefined) {
      builder.answer({ index, outcome: withReads(replay, reads) });
      continue;
    }
    const planned = plan(transaction, heads, now);
    if (planned.outcome === "conflict") {
      builder.answer({ index, outcome: planned });
      continue;
    }
    const request = recordOf(transaction, planned, now);
    if (request !== undefined && transaction.request) known.set(transaction.request.id, request);
    writeTo(builder, planned, request, now);
    builder.answer({ index, outcome: committed(planned, reads) }, request);
    latest = latestAfter(planned, latest);
  }
  return builder.finish();
}

export function toHead({ state, floor }: Pick<Basis, "state" | "floor">): Head | undefined {
  const { live } = state;
  if (live === undefined) return undefined;
  const { incarnation, version, createdAt } = live;
  return { incarnation, version, createdAt, firstVersion: floor ?? firstVersionOf(live) };
}

type PlannedCommit = Extract<Planned, { outcome: "committed" }>;

export function recordOf(
  transaction: Transaction,
  results: Pick<PlannedCommit, "puts"> & { readonly deletes: readonly DeleteResult[] },
  now: number,
): RequestDocument | undefined {
  return transaction.request && toRequestDocument(transaction.request, now, results);
}

function writeTo(
  builder: SegmentBuilder,
  planned: PlannedCommit,
  request: RequestDocument | undefined,
  now: number,
): void {
  for (const write of planned.writes) builder.write(write);
  const deletesNothing = planned.writes.length === 0 && planned.deletes.length > 0;
  if (deletesNothing && request !== undefined) builder.bury({ incarnation: "", version: 0 }, now);
}

function latestAfter(planned: PlannedCommit, before: Entry | undefined): Entry | undefined {
  const write = planned.writes.at(-1);
  if (write === undefined) return before;
  return write.kind === "put" ? { ...write.entry, value: write.put.value } : undefined;
}

export function withReads(outcome: Outcome, reads: readonly (Entry | undefined)[]): Outcome {
  return outcome.outcome === "committed" ? { ...outcome, reads } : outcome;
}
