import { StateError } from "../../errors.ts";
import type { Change, ChangeBatch, Cursor } from "../../store.ts";
import { parsePosition, toPosition } from "../shared/position.ts";

const BATCH_ITEMS = 1000;

/** A change without its place, which is its index: what is kept of every write is kept small. */
type Unplaced = Omit<Change, "partition" | "position">;

/** `committedAt` only where it is not `at`: an import keeps the time that it had elsewhere. */
interface Kept extends Unplaced {
  readonly committedAt?: number;
}

/** The changes of a memory store, in one partition, numbered from 1. */
export class MemoryFeed {
  /** Holds the changes numbered `#trimmed + 1` and up. */
  readonly #changes: Kept[] = [];
  #trimmed = 0;
  readonly #waiting = new Set<() => void>();

  append(change: Unplaced, committedAt: number): void {
    this.#changes.push(change.at === committedAt ? change : { ...change, committedAt });
  }

  /** Wakes the followers; called once a whole batch has been applied. */
  ring(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  trimBefore(time: number): void {
    const kept = this.#changes.findIndex(({ at, committedAt = at }) => committedAt >= time);
    const count = kept === -1 ? this.#changes.length : kept;
    this.#changes.splice(0, count);
    this.#trimmed += count;
  }

  async *follow(after: Cursor | "now", signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    let position = after === "now" ? this.#last() : (parsePosition(after[0] ?? "") ?? Infinity);
    // A cursor of another life of this store may be ahead of it, and would wait for ever.
    if (position > this.#last()) throw expired();
    let announced = false;
    // One listener for the follower's life: one for each wait would pile up on the signal.
    let wake = (): void => {};
    signal.addEventListener("abort", () => wake(), { once: true });
    while (!signal.aborted) {
      if (position < this.#trimmed) throw expired();
      const start = position - this.#trimmed;
      const changes = this.#changes.slice(start, start + BATCH_ITEMS).map((kept): Change => {
        const { committedAt, ...change } = kept;
        position += 1;
        return { ...change, partition: 0, position: toPosition(position) };
      });
      const caughtUp = position === this.#last();
      if (changes.length > 0 || !announced) {
        announced ||= caughtUp;
        yield { changes, cursor: [toPosition(position)], caughtUp };
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
          this.#waiting.add(resolve);
        });
      }
    }
  }

  #last(): number {
    return this.#trimmed + this.#changes.length;
  }
}

function expired(): StateError {
  return new StateError(
    "cursor_expired",
    "The feed no longer reaches back to this position. List the keys again, then follow from now.",
  );
}
