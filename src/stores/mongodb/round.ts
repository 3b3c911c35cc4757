import type { Timestamp } from "mongodb";
import { StateError } from "../../errors.ts";
import type { Key } from "../../key.ts";
import { keysOf } from "../shared/plan.ts";
import { classify, DeadlineError, RefusedError } from "./classify.ts";
import type { Deadline } from "./deadline.ts";
import { KeyWork, type Item } from "./key-work.ts";
import type { Answer } from "./segments.ts";

/** A batch of transactions of one key each, on its way into the database. */
export class Round {
  readonly deadline: Deadline;
  readonly answers: Answer[] = [];
  /** True where the next attempt had better wait a moment. */
  isHeldUp = false;
  /** The failure that the last insert met. */
  lastError: Error | undefined;
  /** When MongoDB had done the last insert, where it is a replica set. */
  insertedAt: Timestamp | undefined;
  readonly #works: readonly KeyWork[];

  constructor(items: readonly Item[], deadline: Deadline) {
    this.deadline = deadline;
    const works = new Map<Key, KeyWork>();
    for (const item of items) {
      const [key] = keysOf(item.transaction);
      if (key === undefined) throw new Error("A transaction of one key has a key.");
      const work = works.get(key) ?? new KeyWork(key);
      works.set(key, work);
      work.waiting.push(item);
    }
    this.#works = [...works.values()];
  }

  /** The keys that still have transactions to answer. */
  get pending(): readonly KeyWork[] {
    return this.#works.filter((work) => work.waiting.length > 0);
  }

  begin(): void {
    this.isHeldUp = false;
    if (!this.deadline.isOver()) return;
    if (this.lastError !== undefined) throw this.lastError;
    throw new DeadlineError("The time for the write was over.");
  }

  settle(work: KeyWork, answers: readonly Answer[]): void {
    work.settle(answers);
    this.answers.push(...answers);
  }

  /** MongoDB will not take this document, whatever the reason; the rest of the key is planned anew. */
  refuse(work: KeyWork, code: number): void {
    const refused = work.waiting.slice(0, work.segments[0]?.answers.length);
    const error = classify(new RefusedError(code), work.sent ? "unknown" : "no");
    this.settle(work, toFailed(refused, error));
    work.startOver();
  }

  /** Answers everything that is left; what may have been inserted, with an unknown outcome. */
  failAll(cause: unknown): void {
    for (const work of this.pending) {
      const count = work.sent ? (work.segments[0]?.answers.length ?? 0) : 0;
      const maybe = toFailed(work.waiting.slice(0, count), classify(cause, "unknown"));
      const hasLost = work.losses > 0 && cause instanceof DeadlineError;
      const never = toFailed(
        work.waiting.slice(count),
        hasLost ? crowded() : classify(cause, "no"),
      );
      this.settle(work, [...maybe, ...never]);
    }
  }
}

function toFailed(items: readonly Item[], error: StateError): readonly Answer[] {
  return items.map(({ index }) => ({ index, outcome: { outcome: "failed", error } }));
}

function crowded(): StateError {
  return new StateError(
    "overloaded",
    "Too many writers compete for this key, and others were faster each time. " +
      "Nothing was written. Try again.",
  );
}
