import assert from "node:assert/strict";
import type { Key } from "../key.ts";
import type { Change, ChangeBatch, Cursor } from "../store.ts";

export interface FollowerOptions {
  /** The keys whose changes count; other cases write to the same store. */
  readonly keys: readonly Key[];
  readonly patienceMs: number;
  /** Ends the feed. */
  readonly abort: AbortController;
}

/**
 * Follows the feed in the background and keeps what concerns its own keys: other cases write to the
 * same store. Checks of every batch what must hold of all of them.
 */
export class Follower {
  readonly changes: Change[] = [];
  /** Each batch's cursor, with how many of `changes` lie before it. */
  readonly cursors: { readonly cursor: Cursor; readonly seen: number }[] = [];
  caughtUpBatches = 0;
  /** Settles when the feed ends; rejects where it fails. */
  readonly ended: Promise<void>;
  readonly #keys: ReadonlySet<Key>;
  readonly #patienceMs: number;
  readonly #abort: AbortController;
  readonly #positions = new Map<number, string>();
  #failure: Error | undefined;
  #wake = Promise.withResolvers<void>();

  /** Starts to follow. A change that takes longer than `patienceMs` counts as missing. */
  constructor(batches: AsyncIterable<ChangeBatch>, options: FollowerOptions) {
    this.#keys = new Set(options.keys);
    this.#patienceMs = options.patienceMs;
    this.#abort = options.abort;
    this.ended = this.#read(batches);
    this.ended.catch((error: unknown) => this.#fail(error));
  }

  /** Answers when the follower has seen enough; fails after a while, or where the feed ends. */
  async until(what: string, check: () => boolean): Promise<void> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wakeUp();
    }, this.#patienceMs);
    try {
      while (!check()) {
        if (this.#failure !== undefined) throw this.#failure;
        assert.ok(!late, `${what}: not within ${this.#patienceMs} ms; seen ${this.describe()}`);
        await this.#wake.promise;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async untilCount(count: number): Promise<void> {
    await this.until(`${count} changes`, () => this.changes.length >= count);
  }

  /** Reads to the present, and answers what there was. */
  async drain(): Promise<readonly Change[]> {
    await this.until("the present", () => this.caughtUpBatches > 0);
    await this.stop();
    return this.changes;
  }

  /** Ends it, and fails with what went wrong meanwhile. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.ended;
  }

  /** What was seen, short enough for a message. */
  describe(): string {
    const shown = this.changes.slice(-20).map(summary);
    return `${this.changes.length} changes, the last of them ${shown.join(" ")}`;
  }

  get lastCursor(): Cursor {
    const last = this.cursors.at(-1);
    assert.ok(last !== undefined, "a batch was read");
    return last.cursor;
  }

  async #read(batches: AsyncIterable<ChangeBatch>): Promise<void> {
    for await (const batch of batches) this.#take(batch);
  }

  #fail(error: unknown): void {
    this.#failure = error instanceof Error ? error : new Error(String(error));
    this.#wakeUp();
  }

  #take(batch: ChangeBatch): void {
    for (const change of batch.changes) {
      const before = this.#positions.get(change.partition);
      assert.ok(
        before === undefined || before < change.position,
        `position ${before} comes before ${change.position} of partition ${change.partition}`,
      );
      this.#positions.set(change.partition, change.position);
      const reached = batch.cursor[change.partition];
      assert.ok(
        reached !== undefined && reached >= change.position,
        "the cursor is past the batch",
      );
      if (!this.#keys.has(change.key)) continue;
      assertFollows(
        change,
        this.changes.findLast(({ key }) => key === change.key),
      );
      this.changes.push(change);
    }
    this.cursors.push({ cursor: batch.cursor, seen: this.changes.length });
    if (batch.caughtUp) this.caughtUpBatches += 1;
    this.#wakeUp();
  }

  #wakeUp(): void {
    const { resolve } = this.#wake;
    this.#wake = Promise.withResolvers<void>();
    resolve();
  }
}

/** Versions are dense, so a change tells whether one was left out or came twice before it. */
function assertFollows(change: Change, before: Change | undefined): void {
  if (before === undefined) return;
  const what = `${summary(change)} after ${summary(before)} of ${change.key}`;
  if (before.deleted) {
    assert.ok(!change.deleted, `a put comes after a delete, not ${what}`);
    assert.notEqual(change.incarnation, before.incarnation, `another life, ${what}`);
    assert.equal(change.version, 1, what);
    return;
  }
  assert.equal(change.incarnation, before.incarnation, `one life, ${what}`);
  assert.equal(change.version, before.version + (change.deleted ? 0 : 1), what);
}

/** A change in a few characters: `v3` for a put, `-v3` for a delete. */
export function summary(change: Change): string {
  return `${change.deleted ? "-" : ""}v${change.version}`;
}

/** What a follower saw of one key, in order. */
export function summariesOf(changes: readonly Change[], key: Key): readonly string[] {
  return changes.filter((change) => change.key === key).map(summary);
}
