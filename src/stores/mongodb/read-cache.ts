import type { Timestamp } from "mongodb";
import type { Query, ReadResult } from "../../store.ts";
import { toTime } from "./feed-events.ts";
import { MAJORITY, type Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";

/** What the cache holds at most, and the largest value in it. */
const CACHE_BYTES_MAX = 32 * 1024 * 1024;
const VALUE_BYTES_MAX = 32 * 1024;

/** What an item takes beside its key and value. */
const ITEM_BYTES = 500;

/** Most batches that pass without a question, while the answer keeps being that all has changed. */
const UNASKED_MAX = 64;

interface NewestWrite {
  readonly time: string;
  readonly timestamp: Timestamp;
}

/**
 * Remembers results for as long as nobody has written anything to the replica set. Each batch first
 * asks the primary for the time of the newest write that a majority has: while that stays the same,
 * so does every result that was read after it was first heard, and a batch costs one small question
 * instead of a seek for each key. While writes go on, the question is asked ever more rarely.
 */
export class ReadCache {
  readonly #database: Database;
  /** The time of the newest write, after which everything in `#results` was read. */
  #time = "";
  readonly #results = new Map<string, ReadResult>();
  #bytes = 0;
  /** How many times in a row the time had changed. */
  #changes = 0;
  #unasked = 0;

  constructor(database: Database) {
    this.#database = database;
  }

  /** `readThrough` asks MongoDB for what is not remembered. */
  async read(
    queries: readonly Query[],
    deadline: Deadline,
    readThrough: (queries: readonly Query[]) => Promise<readonly ReadResult[]>,
  ): Promise<readonly ReadResult[]> {
    if (this.#unasked > 0) {
      this.#unasked -= 1;
      return readThrough(queries);
    }
    const newest = await this.#askNewest(deadline);
    if (newest === undefined) return readThrough(queries);
    const { time } = newest;
    if (time === this.#time) this.#changes = 0;
    else await this.#startOver(newest, deadline);
    const results = queries.map((query) => copyOf(this.#results.get(nameOf(query))));
    const missing = queries.flatMap((query, i) => (this.#results.has(nameOf(query)) ? [] : [i]));
    if (missing.length === 0) return results;
    const read = await readThrough(missing.flatMap((i) => queries.slice(i, i + 1)));
    missing.forEach((index, i) => {
      const result = read[i];
      results[index] = result;
      const query = queries[index];
      // Another batch may have heard of a newer write meanwhile; then this is of no use to anyone.
      if (this.#time === time && query !== undefined) this.#keep(query, result);
    });
    return results;
  }

  /** Undefined where the answer is of no use; the read itself then finds out what is wrong. */
  async #askNewest(deadline: Deadline): Promise<NewestWrite | undefined> {
    try {
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
    } catch {
      return undefined;
    }
  }

  /**
   * A majority has the newest write a moment before majority readers see it. What is remembered under
   * its time must have been read after that moment, so it is waited for once.
   */
  async #startOver({ time, timestamp }: NewestWrite, deadline: Deadline): Promise<void> {
    this.#changes += 1;
    this.#unasked = Math.min(2 ** this.#changes - 2, UNASKED_MAX);
    const readConcern = { ...MAJORITY, afterClusterTime: timestamp };
    const find = { find: this.#database.names.meta, filter: { _id: "schema" }, limit: 1 };
    await this.#database.read({ ...find, readConcern }, deadline);
    this.#time = time;
    this.#forgetAll();
  }

  #forgetAll(): void {
    this.#results.clear();
    this.#bytes = 0;
  }

  #keep(query: Query, result: ReadResult): void {
    if (typeof query.select === "object" && "asOf" in query.select) return;
    const size = sizeOf(result);
    if (size > VALUE_BYTES_MAX) return;
    const name = nameOf(query);
    this.#results.set(name, copyOf(result));
    this.#bytes += size + name.length + ITEM_BYTES;
    if (this.#bytes > CACHE_BYTES_MAX) this.#forgetAll();
  }
}

/** No key holds U+0000, so nothing that follows it can be taken for a part of the key. */
function nameOf({ key, select, value }: Query): string {
  if (select === "latest") return value ? key : `${key}\0`;
  const which = "version" in select ? `v${select.version}` : `t${select.asOf}`;
  return `${key}\0${which}${value ? "" : "-"}`;
}

function sizeOf(result: ReadResult): number {
  return result === undefined || result === "trimmed" ? 0 : (result.value?.byteLength ?? 0);
}

/** Whoever gets a result may write into its bytes. */
function copyOf(result: ReadResult): ReadResult {
  if (result === undefined || result === "trimmed" || result.value === undefined) return result;
  return { ...result, value: Buffer.from(result.value) };
}
