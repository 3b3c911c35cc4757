import type { Document } from "mongodb";
import type { Key } from "../../key.ts";
import type { EntryInfo, KeyInfo, KeysPage, StoredEntry } from "../../store.ts";
import type { Clock } from "../../telemetry/clock.ts";
import { firstBatch, MAJORITY, type Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import type { HeadReader } from "./heads.ts";
import { Recent } from "./recent.ts";
import { INDEXES } from "./schema.ts";

/** Keys of one step through a list: their metadata, at its longest, fits one reply of 16 MiB. */
const KEYS_EACH = 1000;

/** Keys that a step asks for beyond those, in place of some that were deleted just now. */
const SPARE_KEYS = 10;

/** What is remembered of lists, in characters of keys; and what an item takes beside them. */
const CHARACTERS_MAX = 4 * 1024 * 1024;
const ITEM_CHARACTERS = 50;

/** What a list held when the newest write was this one. */
interface Listed {
  readonly keys: readonly Key[];
  readonly newest: string;
}

/** A part of the list of keys, as the index holds it. */
interface Range {
  /** Itself left out where it `isAfter`. */
  readonly from: string;
  readonly isAfter: boolean;
  readonly to: string | undefined;
  readonly limit: number;
}

/** Lists existing keys, and remembers lists for as long as nothing is written. */
export class KeyReader {
  readonly #database: Database;
  readonly #heads: HeadReader;
  readonly #clock: Clock;
  readonly #listed: Recent<Listed>;

  constructor(database: Database, heads: HeadReader, clock: Clock) {
    this.#database = database;
    this.#heads = heads;
    this.#clock = clock;
    this.#listed = new Recent<Listed>({ clock, weightMax: CHARACTERS_MAX, weigh: charactersOf });
  }

  /**
   * Answers a page of existing keys. An index holds one item per life of a key, so neither long
   * histories nor cleared keys are walked over; keys whose delete is a moment old are left out here.
   */
  async read(page: KeysPage, deadline: Deadline): Promise<readonly KeyInfo[]> {
    const newest = await this.#heads.askNewest(deadline);
    const found: KeyInfo[] = [];
    let [from, isAfter]: [string, boolean] = [page.from, false];
    for (;;) {
      const limit = Math.min(page.limit - found.length, KEYS_EACH) + SPARE_KEYS;
      const listed = await this.#list({ from, isAfter, to: page.to, limit }, newest, deadline);
      // A key that was deleted and put again may have an item of each life.
      const wanted = new Map(listed.map((key) => [key, "info"] as const));
      const heads = await this.#heads.read(wanted, { newest, deadline });
      for (const key of wanted.keys()) {
        const latest = heads.get(key)?.latest;
        if (latest !== undefined) found.push({ key, ...withoutValue(latest) });
      }
      const last = listed.at(-1);
      if (found.length >= page.limit || listed.length < limit || last === undefined) {
        return found.slice(0, page.limit);
      }
      [from, isAfter] = [last, true];
    }
  }

  async #list(
    range: Range,
    newest: string | undefined,
    deadline: Deadline,
  ): Promise<readonly Key[]> {
    if (newest === undefined) return readListed(this.#database, range, deadline);
    const name = JSON.stringify(range);
    const known = this.#listed.get(name);
    if (known?.newest === newest) return known.keys;
    const at = this.#clock.monotonic();
    const keys = await readListed(this.#database, range, deadline);
    this.#listed.set(name, { keys, newest }, at);
    return keys;
  }
}

async function readListed(
  database: Database,
  { from, isAfter, to, limit }: Range,
  deadline: Deadline,
): Promise<readonly Key[]> {
  const range: Document = isAfter ? { $gt: from } : { $gte: from };
  const reply = await database.read(
    {
      find: database.names.segments,
      filter: { h: true, k: to === undefined ? range : { ...range, $lt: to } },
      projection: { _id: 0, k: 1 },
      sort: { k: 1 },
      hint: INDEXES.listed.name,
      limit,
      batchSize: limit,
      singleBatch: true,
      readConcern: MAJORITY,
    },
    deadline,
  );
  return firstBatch<{ readonly k: Key }>(reply).map(({ k }) => k);
}

function charactersOf({ keys }: Listed, name: string): number {
  return keys.reduce((sum, key) => sum + key.length + ITEM_CHARACTERS, name.length);
}

function withoutValue({ value: _, ...info }: StoredEntry): EntryInfo {
  return info;
}
