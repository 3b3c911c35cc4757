import type { Document } from "mongodb";
import type { Key } from "../../key.ts";
import type { Clock } from "../../telemetry/clock.ts";
import { firstBatch, MAJORITY, type Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import { toEntry } from "./documents.ts";
import type { Shown } from "./journal.ts";
import type { NewestWrite } from "./newest-write.ts";
import type { Head, ReadCache, ReadTime, WantedHead } from "./read-cache.ts";
import type { PlannedSegment } from "./segments.ts";
import {
  latestEntry,
  latestInfo,
  readHeads,
  toShown,
  toState,
  type HeadDocument,
} from "./states.ts";

/** Of a key that no document is about. */
export const NO_HEAD: Head = { segment: undefined, live: undefined, latest: undefined };

/**
 * Reads heads of keys, and fetches only those that this process does not remember or that have
 * changed. Where anything was written since, it asks MongoDB where the newest segments start. A
 * segment is never changed but by retention, which leaves its latest entry alone, and no place in a
 * log is used twice within the time that a head is remembered: so the same place means the same
 * latest entry.
 */
export class HeadReader {
  readonly #database: Database;
  readonly #cache: ReadCache;
  readonly #clock: Clock;
  readonly #newestWrite: NewestWrite | undefined;

  constructor(
    database: Database,
    cache: ReadCache,
    options: { readonly clock: Clock; readonly newestWrite: NewestWrite | undefined },
  ) {
    this.#database = database;
    this.#cache = cache;
    this.#clock = options.clock;
    this.#newestWrite = options.newestWrite;
  }

  /** What `NewestWrite` answers; undefined where MongoDB is no replica set. */
  async askNewest(deadline: Deadline): Promise<string | undefined> {
    return this.#newestWrite?.ask(deadline);
  }

  /**
   * `newest` is what `askNewest` has
   * answered in this call, undefined where it was not asked.
   */
  async read(
    wanted: ReadonlyMap<Key, WantedHead>,
    { newest, deadline }: { readonly newest: string | undefined; readonly deadline: Deadline },
  ): Promise<ReadonlyMap<Key, Head>> {
    const heads = new Map<Key, Head>();
    const unsure = new Map<Key, Head>();
    const missing: Key[] = [];
    for (const [key, how] of wanted) {
      const known = this.#cache.head(key, how);
      if (known === undefined) missing.push(key);
      else if (newest !== undefined && known.newest === newest) heads.set(key, known.item);
      else unsure.set(key, known.item);
    }
    const time = { at: this.#clock.monotonic(), newest };
    const [fetched, changed] = await Promise.all([
      this.#fetch(missing, wanted, { time, deadline }),
      this.#findChanged(unsure, { time, deadline }),
    ]);
    for (const key of changed) unsure.delete(key);
    const refetched = await this.#fetch(changed, wanted, { time, deadline });
    for (const some of [unsure, fetched, refetched]) {
      for (const [key, head] of some) heads.set(key, head);
    }
    return heads;
  }

  /** Remembers newest segments that were read without values, and answers what they say. */
  keep(documents: readonly HeadDocument[], time: ReadTime): ReadonlyMap<Key, Head> {
    const heads = new Map<Key, Head>();
    for (const document of documents) {
      // The names of all documents are keys that were checked before they were written.
      const key = document._id as Key;
      const known = this.#cache.head(key, "info")?.item;
      const isKnown = known !== undefined && known.segment?.start === document.s;
      const head = isKnown ? known : toHead(document, false);
      // What is known may have a value, which is worth keeping.
      if (isKnown) this.#cache.confirmHead(key, head, time);
      else this.#cache.keepHead(key, head, time);
      heads.set(key, head);
    }
    return heads;
  }

  /** The keys whose newest segment is another one by now. */
  async #findChanged(known: ReadonlyMap<Key, Head>, reading: Reading): Promise<readonly Key[]> {
    if (known.size === 0) return [];
    const { deadline, time } = reading;
    const starts = await this.#database.readKept(
      deadline,
      () => readStarts(this.#database, [...known.keys()], deadline),
      (found) => unchanged(known, found),
    );
    const changed: Key[] = [];
    for (const [key, head] of known) {
      if (starts.get(key) === head.segment?.start) this.#cache.confirmHead(key, head, time);
      else changed.push(key);
    }
    return changed;
  }

  async #fetch(
    keys: readonly Key[],
    wanted: ReadonlyMap<Key, WantedHead>,
    reading: Reading,
  ): Promise<Map<Key, Head>> {
    const heads = new Map<Key, Head>();
    const fetch = async (values: boolean): Promise<void> => {
      const some = keys.filter((key) => (wanted.get(key) === "value") === values);
      const documents = await readHeads(this.#database, some, values, reading);
      for (const key of some) {
        const head = toHead(documents.get(key), values);
        this.#cache.keepHead(key, head, reading.time);
        heads.set(key, head);
      }
    };
    await Promise.all([fetch(true), fetch(false)]);
    return heads;
  }
}

export interface Reading {
  readonly time: ReadTime;
  readonly deadline: Deadline;
}

function toHead(document: HeadDocument | undefined, values: boolean): Head {
  if (document === undefined) return NO_HEAD;
  const info = values ? latestEntry(document) : latestInfo(document);
  return {
    segment: { id: document.i, start: document.s },
    live: toState(document).live,
    latest: info && { value: undefined, ...info },
  };
}

/** The newest segments among those that are known which still start where they did. */
function unchanged(known: ReadonlyMap<Key, Head>, starts: ReadonlyMap<string, number>): Shown {
  return [...known].flatMap(([key, { segment }]) =>
    segment !== undefined && segment.start === starts.get(key)
      ? [toShown({ _id: key, i: segment.id, s: segment.start })]
      : [],
  );
}

/** The head of a key once a segment is in place. */
export function headAfter({ document, after: { live } }: PlannedSegment): Head {
  const last = document.e.at(-1);
  return {
    segment: { id: document._id, start: document.s },
    live,
    latest: live && last && toEntry(live.incarnation, live.version, last),
  };
}

/**
 * Where the newest segment of each key starts; keys that no document is about are left out. The index
 * alone answers it, one seek a key.
 */
async function readStarts(
  database: Database,
  keys: readonly Key[],
  deadline: Deadline,
): Promise<ReadonlyMap<string, number>> {
  const { segments } = database.names;
  const [lone] = keys;
  if (keys.length === 1 && lone !== undefined) {
    const start = await readStart(database, lone, deadline);
    return new Map(start === undefined ? [] : [[lone, start]]);
  }
  const pipeline: Document[] = [
    { $match: { k: { $in: keys } } },
    { $sort: { k: 1, s: -1 } },
    { $group: { _id: "$k", s: { $first: "$s" } } },
  ];
  const cursor = { batchSize: keys.length + 1 };
  const command = { aggregate: segments, pipeline, cursor, readConcern: MAJORITY };
  const reply = await database.read(command, deadline);
  const found = firstBatch<{ readonly _id: string; readonly s: number }>(reply);
  return new Map(found.map(({ _id, s }) => [_id, s]));
}

/** The same of one key, as a command that costs less. */
async function readStart(
  database: Database,
  key: Key,
  deadline: Deadline,
): Promise<number | undefined> {
  const newest = { filter: { k: key }, sort: { k: 1, s: -1 }, limit: 1, singleBatch: true };
  const command = { find: database.names.segments, ...newest, projection: { _id: 0, s: 1 } };
  const reply = await database.find(command, { deadline });
  return firstBatch<{ readonly s: number }>(reply)[0]?.s;
}
