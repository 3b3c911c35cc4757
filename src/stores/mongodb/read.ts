import type { Key } from "../../key.ts";
import type { Query, ReadResult, StoredEntry } from "../../store.ts";
import type { Clock } from "../../telemetry/clock.ts";
import type { Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import {
  firstVersionOf,
  positionOf,
  toEntry,
  toEntryInfo,
  versionAt,
  type EntryDocument,
  type LiveKey,
} from "./documents.ts";
import { HeadReader } from "./heads.ts";
import { findMoments } from "./moments.ts";
import type { NewestWrite } from "./newest-write.ts";
import { PlaceReader, type Place } from "./places.ts";
import type { ReadCache, WantedHead } from "./read-cache.ts";
import { readFloors } from "./states.ts";

/** A query, and the life of its key that it is answered from. */
interface Older {
  readonly index: number;
  readonly query: Query;
  readonly live: LiveKey;
}

/** A query, and the version that answers it. */
interface Found extends Older {
  readonly version: number;
}

/** Where the answers of a batch go. */
interface Answering {
  readonly results: ReadResult[];
  readonly newest: string | undefined;
  readonly deadline: Deadline;
}

/** Answers batches of queries: what the heads tell at once, other versions after that. */
export class EntryReader {
  readonly #database: Database;
  readonly #cache: ReadCache;
  readonly #clock: Clock;
  readonly #places: PlaceReader;
  readonly heads: HeadReader;

  constructor(
    database: Database,
    cache: ReadCache,
    options: { readonly clock: Clock; readonly newestWrite: NewestWrite | undefined },
  ) {
    this.#database = database;
    this.#cache = cache;
    this.#clock = options.clock;
    this.#places = new PlaceReader(database);
    this.heads = new HeadReader(database, cache, options);
  }

  async read(queries: readonly Query[], deadline: Deadline): Promise<readonly ReadResult[]> {
    const isLone = queries.length === 1 && queries[0]?.select === "latest";
    // With nothing else to read, a question about all keys is no cheaper than one about the key.
    const newest = isLone ? undefined : await this.heads.askNewest(deadline);
    const heads = await this.heads.read(wantedOf(queries), { newest, deadline });
    const results = queries.map((): ReadResult => undefined);
    const found: Found[] = [];
    const searches: (Older & { readonly asOf: number })[] = [];
    queries.forEach((query, index) => {
      const { live, latest } = heads.get(query.key) ?? {};
      if (live === undefined || latest === undefined) return;
      const older = { index, query, live };
      const version = versionFor(query, live);
      if (version === live.version && hasWanted(latest, query)) {
        results[index] = asWanted(latest, query);
      } else if (version !== undefined) {
        found.push({ ...older, version });
      } else if (typeof query.select === "object" && "asOf" in query.select) {
        searches.push({ ...older, asOf: query.select.asOf });
      }
    });
    const moments = searches.map(({ query, live, asOf }) => ({ key: query.key, live, asOf }));
    const readers = { database: this.#database, places: this.#places };
    const positions = await findMoments(readers, moments, deadline);
    searches.forEach((search, i) => {
      const version = versionAt(search.live, positions[i] ?? 0);
      found.push({ ...search, version });
    });
    await this.#readFound(found, { results, newest, deadline });
    return results;
  }

  async #readFound(found: readonly Found[], answering: Answering): Promise<void> {
    const { results, newest } = answering;
    const unsure: Remembered[] = [];
    const missing: Found[] = [];
    for (const one of found) {
      const first = firstVersionOf(one.live);
      if (one.version < first && one.version >= 1) results[one.index] = "trimmed";
      if (one.version < first || one.version > one.live.version) continue;
      const known = this.#cache.entry(placeOf(one), one.query.value);
      if (known === undefined) missing.push(one);
      else if (newest === undefined || known.newest !== newest) {
        unsure.push({ one, entry: known.item });
      } else results[one.index] = asWanted(known.item, one.query);
    }
    await Promise.all([this.#answerKept(unsure, answering), this.#readMissing(missing, answering)]);
  }

  /** Answers with entries that are remembered, unless retention has reached them. */
  async #answerKept(
    entries: readonly Remembered[],
    { results, newest, deadline }: Answering,
  ): Promise<void> {
    const lives = new Map(entries.map(({ one }) => [one.query.key, one.live]));
    const anchors = [...lives].map(([key, live]) => ({ key, live }));
    const time = { at: this.#clock.monotonic(), newest };
    const floors = await readFloors(this.#database, anchors, { deadline });
    for (const { one, entry } of entries) {
      const isKept = one.version >= (floors.get(one.query.key) ?? 0);
      if (isKept) this.#cache.keepEntry(placeOf(one), entry, time);
      results[one.index] = isKept ? asWanted(entry, one.query) : "trimmed";
    }
  }

  async #readMissing(
    missing: readonly Found[],
    { results, newest, deadline }: Answering,
  ): Promise<void> {
    for (const detail of ["info", "all"] as const) {
      const wanted = missing.filter(({ query }) => query.value === (detail === "all"));
      const places = wanted.map(placeOf);
      const time = { at: this.#clock.monotonic(), newest };
      const entries = await this.#places.read(places, detail, deadline);
      wanted.forEach((one, i) => {
        const entry = toStored(one, entries[i]);
        results[one.index] = entry ?? "trimmed";
        if (entry !== undefined) this.#cache.keepEntry(placeOf(one), entry, time);
      });
    }
  }
}

interface Remembered {
  readonly one: Found;
  readonly entry: StoredEntry;
}

/** Each key; where its latest value is asked for, and only there, that has to come along. */
function wantedOf(queries: readonly Query[]): ReadonlyMap<Key, WantedHead> {
  const wanted = new Map<Key, WantedHead>();
  for (const { key, select, value } of queries) {
    if (value && select === "latest") wanted.set(key, "value");
    else if (!wanted.has(key)) wanted.set(key, "known-value");
  }
  return wanted;
}

/** The version that a query asks for, where the head tells; undefined where it has to be searched. */
function versionFor({ select }: Query, live: LiveKey): number | undefined {
  if (select === "latest") return live.version;
  if ("version" in select) return select.version;
  return select.asOf >= live.createdAt ? live.version : undefined;
}

function hasWanted(latest: StoredEntry, query: Query): boolean {
  return !query.value || latest.value !== undefined;
}

function asWanted(entry: StoredEntry, query: Query): StoredEntry {
  return query.value || entry.value === undefined ? entry : { ...entry, value: undefined };
}

function placeOf({ query, live, version }: Found): Place {
  const position = positionOf(live, version);
  return { key: query.key, incarnation: live.incarnation, position };
}

/** Undefined where retention has removed it. */
function toStored(
  { query, live, version }: Found,
  entry: EntryDocument | undefined,
): StoredEntry | undefined {
  if (entry === undefined) return undefined;
  if (query.value) return toEntry(live.incarnation, version, entry);
  return { ...toEntryInfo(live.incarnation, version, entry), value: undefined };
}
