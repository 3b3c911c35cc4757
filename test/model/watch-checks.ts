import assert from "node:assert/strict";
import type { Mark, Told, ToldWrite, Writes } from "./watch-told.ts";

/** What a watcher of one key, or of a prefix that the key is under, has to be told. */
export interface ToldCheck {
  take(told: Told): void;
  /** The watcher has been told all that there is. */
  end(): void;
}

/** Writes told one by one, from the present of some moment on: none missing, none twice. */
class Stretch {
  readonly #writes: Writes;
  /** The first write that must not be missing. */
  readonly #due: number;
  #next: number | undefined;

  constructor(writes: Writes, { sent }: Mark) {
    this.#writes = writes;
    this.#due = sent;
  }

  take(index: number): void {
    if (this.#next === undefined) {
      assert.ok(index <= this.#due, `the first write told is ${index}, and ${this.#due} was due`);
    } else assert.equal(index, this.#next, "the write told is not the next one");
    this.#next = index + 1;
  }

  end(): void {
    const { length } = this.#writes.acknowledged;
    if (this.#next !== undefined) assert.equal(this.#next, length, "the last writes are not told");
    else assert.ok(length <= this.#due, "the writes since the start are not told");
  }
}

/** Looks a write up that a watcher was told of. */
function find(told: ToldWrite, writes: Writes): number {
  const index = writes.indexOf(told);
  assert.ok(index >= 0, "what was told was never written");
  const { value, incarnation } = writes.acknowledged[index] ?? told;
  if (told.value !== undefined) assert.equal(told.value, value, "the value told is another");
  // It may have been removed before it could be read.
  else if (told.type === "put") {
    assert.notEqual(writes.alive?.incarnation, incarnation, "a value that is there is not told");
  }
  return index;
}

/**
 * A watcher of a prefix is told every write of a key, from its first call on and across its resumes.
 * Only where the feed no longer reaches back does it begin anew.
 */
export class PrefixCheck implements ToldCheck {
  readonly #writes: Writes;
  #stretch: Stretch | undefined;

  constructor(writes: Writes) {
    this.#writes = writes;
  }

  take(told: Told): void {
    if (told.type === "watch" && told.from !== "id") {
      this.#stretch = new Stretch(this.#writes, markOf(told, this.#writes));
    } else if ("key" in told && told.key === this.#writes.key) {
      const index = find(told, this.#writes);
      assert.equal(told.version, this.#writes.acknowledged[index]?.version);
      this.#stretch?.take(index);
    }
  }

  end(): void {
    this.#stretch?.end();
  }
}

/**
 * A watcher of one key is told each life of it in order: its versions one by one, and its end before
 * the next life begins. It is told nothing of a life that was over when a call began, and what else
 * the history has lost it may miss. Once caught up, and as long as the feed is whole, it is told every
 * write, as a watcher of a prefix is.
 */
export class KeyCheck implements ToldCheck {
  readonly #writes: Writes;
  readonly #isFeedWhole: boolean;
  /** What the first call had: a reader of the whole history is told of no end before a beginning. */
  #from: number | "now" | "id" | undefined;
  #acknowledged = 0;
  /** Since the first time that the watcher was caught up. */
  #sinceStart: Stretch | undefined;
  #sinceCaughtUp: Stretch | undefined;
  #last: { readonly told: ToldWrite; readonly index: number } | undefined;

  constructor(writes: Writes, isFeedWhole: boolean) {
    this.#writes = writes;
    this.#isFeedWhole = isFeedWhole;
  }

  take(told: Told): void {
    if (told.type === "watch") {
      // Anew only where nothing was told yet: every event has an id.
      if (told.from !== "id") this.#from = told.from;
      this.#acknowledged = markOf(told, this.#writes).acknowledged;
      this.#sinceCaughtUp = undefined;
    } else if (told.type === "caught-up") {
      const stretch = new Stretch(this.#writes, markOf(told, this.#writes));
      this.#sinceStart ??= stretch;
      if (this.#isFeedWhole) this.#sinceCaughtUp = stretch;
    } else if ("key" in told) this.#takeWrite(told);
  }

  #takeWrite(told: ToldWrite): void {
    const index = find(told, this.#writes);
    assert.ok(index > (this.#last?.index ?? -1), "the write told is older than the last one");
    if (told.type === "put") this.#takePut(told, index);
    else this.#takeDelete(told, index);
    this.#sinceCaughtUp?.take(index);
    this.#last = { told, index };
  }

  #takePut({ incarnation, version }: ToldWrite, index: number): void {
    const last = this.#last?.told;
    if (last?.type === "put") {
      assert.equal(incarnation, last.incarnation, "another life begins, and the last has no end");
      assert.equal(version, last.version + 1, "the version told is not the next one");
    } else if (last !== undefined) {
      assert.equal(version, 1, "a life is told from its middle on");
    } else if (typeof this.#from === "number") {
      assert.ok(version <= this.#from + 1, "the first versions are not told");
    }
    const { acknowledged } = this.#writes;
    const end = acknowledged.findIndex(
      (one) => one.type === "delete" && one.incarnation === incarnation,
    );
    const isOver = end >= 0 && end < this.#acknowledged;
    assert.ok(!isOver, `write ${index} is of a life that was over when the watch began`);
  }

  #takeDelete({ incarnation, version }: ToldWrite, index: number): void {
    const last = this.#last?.told;
    if (last === undefined) assert.notEqual(this.#from, 0, "a life ends of which nothing was told");
    else {
      assert.equal(last.type, "put", "a life ends twice");
      assert.equal(incarnation, last.incarnation, "a life ends that was not told");
    }
    // A life that has gone on unseen ends at the last version seen: the rest is gone. The reader then
    // goes on from the history, which does not have the lives between.
    const lastVersion = this.#writes.acknowledged[index]?.version ?? 0;
    const isWithin = version >= (last?.version ?? 1) && version <= lastVersion;
    assert.ok(isWithin, "a life ends at a version that was not its last");
    if (version < lastVersion) this.#sinceCaughtUp = undefined;
  }

  end(): void {
    const { alive } = this.#writes;
    const last = this.#last?.told;
    if (last !== undefined) {
      const isTold = last.incarnation === alive?.incarnation && last.version === alive.version;
      if (last.type === "put") assert.ok(isTold, "the last write is not told");
      else assert.equal(alive, undefined, "the life that goes on is not told");
    } else if (alive !== undefined && typeof this.#from === "number") {
      assert.ok(alive.version <= this.#from, "nothing is told");
    } else if (alive !== undefined) this.#sinceStart?.end();
    this.#sinceCaughtUp?.end();
  }
}

function markOf({ marks }: Extract<Told, { marks: unknown }>, { key }: Writes): Mark {
  const mark = marks.get(key);
  assert.ok(mark !== undefined);
  return mark;
}

/** Each call tells once that its reader is caught up; the last one has to. */
export class CaughtUpCheck implements ToldCheck {
  #isCaughtUp = false;

  take(told: Told): void {
    if (told.type === "watch") this.#isCaughtUp = false;
    if (told.type !== "caught-up") return;
    assert.ok(!this.#isCaughtUp, "the reader is told twice that it is caught up");
    this.#isCaughtUp = true;
  }

  end(): void {
    assert.ok(this.#isCaughtUp, "the reader is never told that it is caught up");
  }
}
