import type { Timestamp } from "mongodb";
import { MAJORITY, type Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import { toTime } from "./feed-events.ts";

/** Most batches that pass without a question, while the answer keeps being that all has changed. */
const UNASKED_MAX = 64;

interface Newest {
  readonly time: string;
  readonly timestamp: Timestamp;
}

/**
 * Knows the time of the newest write to the whole replica set. While that stays the same, nothing
 * that was read after it was heard can have changed, and a batch of reads costs one small question
 * instead of a seek for each key. While writes go on, the question is asked ever more rarely.
 */
export class NewestWrite {
  readonly #database: Database;
  #time = "";
  /** How many times in a row the time had changed. */
  #changes = 0;
  #unasked = 0;
  /** The question under way, and the one after it. */
  #current: Promise<string | undefined> | undefined;
  #next: Promise<string | undefined> | undefined;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * The time, as a name to compare; what is read from now on includes that write. Undefined where
   * it was not asked for, or the answer is of no use. All who ask while a question is under way share
   * the next one: that one may have been answered before they asked.
   */
  async ask(deadline: Deadline): Promise<string | undefined> {
    if (this.#unasked > 0) {
      this.#unasked -= 1;
      return undefined;
    }
    this.#next ??= this.#askNext(deadline);
    return this.#next;
  }

  async #askNext(deadline: Deadline): Promise<string | undefined> {
    await this.#current;
    this.#current = this.#next;
    this.#next = undefined;
    try {
      return await this.#learn(deadline);
    } catch {
      // The read itself finds out what is wrong.
      return undefined;
    }
  }

  async #learn(deadline: Deadline): Promise<string | undefined> {
    const newest = await this.#askPrimary(deadline);
    if (newest === undefined) return undefined;
    const { time, timestamp } = newest;
    if (time === this.#time) {
      this.#changes = 0;
      return time;
    }
    this.#changes += 1;
    this.#unasked = Math.min(2 ** this.#changes - 2, UNASKED_MAX);
    // A majority has the newest write a moment before majority readers see it.
    const readConcern = { ...MAJORITY, afterClusterTime: timestamp };
    const find = { find: this.#database.names.meta, filter: { _id: "schema" }, limit: 1 };
    await this.#database.read({ ...find, readConcern }, deadline);
    this.#time = time;
    return time;
  }

  async #askPrimary(deadline: Deadline): Promise<Newest | undefined> {
    const hello = (await this.#database.command({ hello: 1 }, deadline)) as {
      readonly isWritablePrimary: boolean;
      readonly lastWrite?: {
        readonly majorityOpTime?: { readonly ts: Timestamp; readonly t: unknown };
      };
    };
    const newest = hello.lastWrite?.majorityOpTime;
    if (!hello.isWritablePrimary || newest === undefined) return undefined;
    // Two primaries could give two writes the same time, but not in the same term.
    return { time: `${String(newest.t)} ${toTime(newest.ts)}`, timestamp: newest.ts };
  }
}
