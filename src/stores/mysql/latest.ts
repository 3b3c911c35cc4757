import type { Key } from "../../key.ts";
import type { Entry, ReadResult } from "../../store.ts";
import type { Database } from "./database.ts";
import { copyOf, type Latest, type LatestCache } from "./latest-cache.ts";
import { latestStatement, stampsStatement, toLatestRow } from "./read-statements.ts";
import { toNumber, toStamp, toText } from "./rows.ts";
import type { Rows } from "./session.ts";

/** Places of the queries for the latest of a key; the same key may be asked for twice. */
export type Places = Map<Key, number[]>;

/** Queries for the latest entries of keys, with and without their values. */
export interface LatestQueries {
  readonly withValue: Places;
  readonly withoutValue: Places;
}

/** A statement, and what to do with its rows. */
export interface Step {
  readonly statement: string;
  readonly take: (rows: Rows) => void;
}

/**
 * Reads the latest entries of keys. Of a key whose entry is at hand, the database is only asked which
 * entry is the latest, which is a third of the work of reading it.
 */
export class LatestReads {
  readonly #database: Database;
  readonly #cache: LatestCache;
  readonly #results: ReadResult[];
  /** Keys whose entry at hand is no longer the latest. */
  readonly #outdated: LatestQueries = { withValue: new Map(), withoutValue: new Map() };

  constructor(database: Database, cache: LatestCache, results: ReadResult[]) {
    this.#database = database;
    this.#cache = cache;
    this.#results = results;
  }

  /** The first round trip. */
  steps(queries: LatestQueries): readonly Step[] {
    const known = new Map<Key, Latest & { readonly entry: Entry }>();
    const unknown: LatestQueries = { withValue: new Map(), withoutValue: new Map() };
    for (const kind of ["withValue", "withoutValue"] as const) {
      for (const [key, places] of queries[kind]) {
        const latest = this.#cache.get(key);
        if (latest?.entry === undefined) unknown[kind].set(key, places);
        else known.set(key, { ...latest, entry: latest.entry });
      }
    }
    const steps = this.#fetches(unknown);
    if (known.size === 0) return steps;
    const statement = stampsStatement(this.#database.tables, [...known.keys()]);
    return [...steps, { statement, take: (rows) => this.#confirm(rows, known, queries) }];
  }

  /** The second round trip, for what the first has shown to be outdated; mostly there is none. */
  stepsAfter(): readonly Step[] {
    return this.#fetches(this.#outdated);
  }

  #fetches({ withValue, withoutValue }: LatestQueries): Step[] {
    return [
      { places: withValue, value: true },
      { places: withoutValue, value: false },
    ].flatMap(({ places, value }) => {
      if (places.size === 0) return [];
      const statement = latestStatement(this.#database.tables, [...places.keys()], value);
      return [{ statement, take: (rows: Rows) => this.#takeEntries(rows, places, value) }];
    });
  }

  #takeEntries(rows: Rows, places: Places, value: boolean): void {
    for (const row of rows) {
      const { key, stamp, head, entry } = toLatestRow(row, value);
      // The statement asked for values.
      this.#cache.set(key, { head, stamp, entry: value ? (entry as Entry) : undefined });
      for (const place of places.get(key) ?? []) this.#results[place] = entry;
    }
  }

  #confirm(
    rows: Rows,
    known: ReadonlyMap<Key, Latest & { readonly entry: Entry }>,
    queries: LatestQueries,
  ): void {
    for (const [keyCell, incarnation, version, stamp] of rows) {
      const key = toText(keyCell) as Key;
      const latest = known.get(key);
      if (latest === undefined) continue;
      const isLatest =
        toNumber(version) === latest.entry.version &&
        toStamp(stamp) === latest.stamp &&
        toText(incarnation) === latest.entry.incarnation;
      for (const kind of ["withValue", "withoutValue"] as const) {
        const places = queries[kind].get(key);
        if (places === undefined) continue;
        if (!isLatest) this.#outdated[kind].set(key, places);
        else for (const place of places) this.#results[place] = answerOf(latest.entry, kind);
      }
    }
  }
}

function answerOf(entry: Entry, kind: keyof LatestQueries): ReadResult {
  return kind === "withValue" ? copyOf(entry) : { ...entry, value: undefined };
}
