import type { Applied, ErrorCode } from "../../errors.ts";
import type { Key } from "../../key.ts";
import type { Packed } from "./wire.ts";

/** What the main thread and the writer's thread say to each other. */

/** What the writer can be asked for. */
export type Job =
  | { readonly kind: "commit"; readonly batch: Packed; readonly now: number }
  | ({ readonly kind: "trim" } & TrimRange)
  | { readonly kind: "maintain"; readonly now: number; readonly feedRetentionMs: number }
  | { readonly kind: "ping" }
  | { readonly kind: "close" };

/** See `Store.trim`. */
export interface TrimRange {
  readonly key: Key;
  readonly incarnation: string;
  readonly keepFrom: number;
  readonly limit: number;
}

/** What a job came to: a packed batch for `commit`, a count for all others. */
export type Answer = Packed | number;

/** A job on its way to the writer. */
export interface Call {
  readonly id: number;
  readonly turn: Turn;
  readonly job: Job;
}

/** What the writer sends: `ready` or `unopened` once, then a reply per call. */
export type Message =
  | { readonly kind: "ready"; readonly facts: Facts }
  | { readonly kind: "unopened"; readonly failure: Failure }
  | { readonly kind: "answer"; readonly id: number; readonly answer: Answer }
  | { readonly kind: "failure"; readonly id: number; readonly failure: Failure };

/** What the writer's connection found in force. */
export interface Facts {
  /** Tells the file from any other that may later have its name. */
  readonly identity: string;
  readonly sqliteVersion: string;
  readonly journalMode: string;
  readonly synchronous: number;
}

/** A `StateError` without its class, which no message carries. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly applied: Applied;
  /** What the error behind it said, for the log. */
  readonly cause: string | undefined;
}

/** What the writer is started with. */
export interface WriterData {
  readonly file: string;
  readonly connectTimeoutMs: number;
  /** The file that must be there; undefined where it may be created. */
  readonly identity: string | undefined;
}

/**
 * One cell of memory that both threads see, by which they agree on who ends a call: the writer moves
 * it from waiting to committing just before COMMIT, the main thread from waiting to abandoned when
 * the deadline has passed. Only one of the two can happen, so a call that was abandoned has written
 * nothing, for certain.
 */
export type Turn = Int32Array<SharedArrayBuffer>;

const WAITING = 0;
const COMMITTING = 1;
const ABANDONED = 2;

export function newTurn(): Turn {
  return new Int32Array(new SharedArrayBuffer(4));
}

/** Answers false where the call was abandoned, and nothing may be written any more. */
export function beginCommit(turn: Turn): boolean {
  return Atomics.compareExchange(turn, 0, WAITING, COMMITTING) === WAITING;
}

/** Answers false where the writer has begun to commit, so that the write may happen. */
export function abandon(turn: Turn): boolean {
  const isWaiting = Atomics.compareExchange(turn, 0, WAITING, ABANDONED) === WAITING;
  Atomics.notify(turn, 0);
  return isWaiting;
}

export function isAbandoned(turn: Turn): boolean {
  return Atomics.load(turn, 0) === ABANDONED;
}

/** Blocks the writer's thread; wakes at once when the call is abandoned. */
export function pause(turn: Turn, ms: number): void {
  Atomics.wait(turn, 0, WAITING, ms);
}
