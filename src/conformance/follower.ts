import assert from "node:assert/strict";
import type { Key } from "../key.ts";
import type { Change, ChangeBatch, Cursor, Store } from "../store.ts";

/** How long a change may take to reach a follower before a case gives up on it. */
const PATIENCE_MS = 15_000;

/**
 * Follows the feed in the background and keeps what concerns its own keys: other cases write to the
 * same store. Checks of every batch what must hold of all of them.
 */
export class Follower {
  readonly changes: Change[] = [];
  /** Each batch's cursor, with how many of `changes` lie before it. */
  readonly cursors: { readonly cursor: Cursor; readonly seen: number }[] = [];
  caughtUpBatches = 0;
  readonly #keys: ReadonlySet<Key>;
  readonly #abort = new AbortController();
  readonly #reading: Promise<void>;
  readonly #positions = new Map<number, string>();
  #failure: unknown;
  #wake = Promise.withResolvers<void>();

  private constructor(store: Store, after: Cursor | "now", keys: readonly Key[]) {
    this.#keys = new Set(keys);
    this.#reading = this.#read(store.changes(after, this.#abort.signal));
  }

  /** Starts to follow; from `"now"`, answers when "now" has been reached. */
  static async start(
    store: Store,
    keys: readonly Key[],
    after: Cursor | "now" = "now",
  ): Promise<Follower> {
    const follower = new Follower(store, after, keys);
    if (after === "now") await follower.until("the start", () => follower.caughtUpBatches > 0);
    return follower;
  }

  /** Answers when the follower has seen enough; fails after a while, or where the feed ends. */
  async until(what: string, check: () => boolean): Promise<void> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wakeUp();
    }, PATIENCE_MS);
    try {
      while (!check()) {
        if (this.#failure !== undefined) throw this.#failure;
        assert.ok(!late, `${what}: not within ${PATIENCE_MS} ms; seen ${this.describe()}`);
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

  /** Ends it. A follower of a live store ends by itself soon after its signal. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#reading;
    if (this.#failure !== undefined) throw this.#failure;
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
    try {
      for await (const batch of batches) this.#take(batch);
      assert.ok(this.#abort.signal.aborted, "a feed ends only when its signal aborts");
    } catch (error) {
      this.#failure = error;
    }
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
      if (this.#keys.has(change.key)) this.changes.push(change);
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

/** A change in a few characters: `v3` for a put, `-v3` for a delete. */
export function summary(change: Change): string {
  return `${change.deleted ? "-" : ""}v${change.version}`;
}

/** What a follower saw of one key, in order. */
export function summariesOf(changes: readonly Change[], key: Key): readonly string[] {
  return changes.filter((change) => change.key === key).map(summary);
}

/** Reads the feed from a cursor to the present. */
export async function changesSince(
  store: Store,
  keys: readonly Key[],
  cursor: Cursor,
): Promise<readonly Change[]> {
  const follower = await Follower.start(store, keys, cursor);
  return follower.drain();
}
