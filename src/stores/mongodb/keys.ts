import type { Document } from "mongodb";
import type { Key } from "../../key.ts";
import type { EntryInfo, KeyInfo, KeysPage, StoredEntry } from "../../store.ts";
import type { Clock } from "../../telemetry/clock.ts";
import { firstBatch, MAJORITY, type Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import { NO_HEAD, type HeadReader } from "./heads.ts";
import { KeyScan, type Range } from "./key-scan.ts";
import type { Head } from "./read-cache.ts";
import { Recent } from "./recent.ts";
import { INDEXES } from "./schema.ts";

/** Keys of one step through a list: their metadata, at its longest, fits one reply of 16 MiB. */
const KEYS_EACH = 1000;

/** Keys that a step asks for beyond those, in place of some that were deleted just now. */
const SPARE_KEYS = 10;

/** What is remembered of lists, in characters of keys; and what an item takes beside them. */
const CHARACTERS_MAX = 4 * 1024 * 1024;
const ITEM_CHARACTERS = 50;

/** Keys of a part of the list, and where to go on; undefined where the range has ended. */
interface Listed {
  readonly keys: readonly Key[];
  readonly next: string | undefined;
}

/** What it was when the newest write was this one. */
interface Remembered extends Listed {
  readonly newest: string;
}

/** A part of the list with what the newest segments of its keys say. */
interface Part {
  readonly heads: ReadonlyMap<Key, Head>;
  readonly next: string | undefined;
}

interface Reading {
  readonly newest: string | undefined;
  readonly deadline: Deadline;
}

/** Lists existing keys, and remembers lists for as long as nothing is written. */
export class KeyReader {
  readonly #database: Database;
  readonly #heads: HeadReader;
  readonly #clock: Clock;
  readonly #scan: KeyScan;
  readonly #listed: Recent<Remembered>;

  constructor(database: Database, heads: HeadReader, clock: Clock) {
    this.#database = database;
    this.#heads = heads;
    this.#clock = clock;
    this.#scan = new KeyScan(database);
    this.#listed = new Recent<Remembered>({
      clock,
      weightMax: CHARACTERS_MAX,
      weigh: charactersOf,
    });
  }

  /**
   * Answers a page of existing keys. Neither long histories nor cleared keys are walked over, or no
   * more of them than the page has keys; keys whose delete is a moment old are left out here.
   */
  async read(page: KeysPage, deadline: Deadline): Promise<readonly KeyInfo[]> {
    const newest = await this.#heads.askNewest(deadline);
    const found: KeyInfo[] = [];
    let [from, isAfter]: [string, boolean] = [page.from, false];
    for (;;) {
      const limit = Math.min(page.limit - found.length, KEYS_EACH) + SPARE_KEYS;
      const range = { from, isAfter, to: page.to, limit };
      const { heads, next } = await this.#readPart(range, { newest, deadline });
      for (const [key, { latest }] of heads) {
        if (latest !== undefined) found.push({ key, ...withoutValue(latest) });
      }
      if (found.length >= page.limit || next === undefined) return found.slice(0, page.limit);
      [from, isAfter] = [next, true];
    }
  }

  async #readPart(range: Range, reading: Reading): Promise<Part> {
    const { newest, deadline } = reading;
    const name = JSON.stringify(range);
    const known = newest === undefined ? undefined : this.#listed.get(name);
    if (known !== undefined && known.newest === newest) return this.#readHeads(known, reading);
    const time = { at: this.#clock.monotonic(), newest };
    const scanned = await this.#scan.read(range, deadline);
    let part: Part;
    if (scanned !== undefined) {
      const heads = this.#heads.keep(scanned.heads, time);
      part = { heads, next: scanned.next };
    } else {
      part = await this.#readHeads(await readListed(this.#database, range, deadline), reading);
    }
    if (newest !== undefined) {
      this.#listed.set(name, { keys: [...part.heads.keys()], next: part.next, newest }, time.at);
    }
    return part;
  }

  async #readHeads({ keys, next }: Listed, reading: Reading): Promise<Part> {
    // A key that was deleted and put again may have an item of each life.
    const wanted = new Map(keys.map((key) => [key, "info"] as const));
    const heads = await this.#heads.read(wanted, reading);
    const inOrder = [...wanted.keys()].map((key) => [key, heads.get(key) ?? NO_HEAD] as const);
    return { heads: new Map(inOrder), next };
  }
}

async function readListed(
  database: Database,
  { from, isAfter, to, limit }: Range,
  deadline: Deadline,
): Promise<Listed> {
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
  const keys = firstBatch<{ readonly k: Key }>(reply).map(({ k }) => k);
  return { keys, next: keys.length < limit ? undefined : keys.at(-1) };
}

function charactersOf({ keys }: Listed, name: string): number {
  return keys.reduce((sum, key) => sum + key.length + ITEM_CHARACTERS, name.length);
}

function withoutValue({ value: _, ...info }: StoredEntry): EntryInfo {
  return info;
}
