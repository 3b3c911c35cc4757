import type { Key } from "../../key.ts";
import type { Query, ReadResult } from "../../store.ts";
import { findAsOf, type AsOfQuery } from "./as-of.ts";
import type { Database } from "./database.ts";
import {
  latestStatement,
  toLatest,
  versionsStatement,
  type VersionQuery,
} from "./read-statements.ts";
import { toEntry, toNumber, toText } from "./rows.ts";
import type { Rows, Session } from "./session.ts";

/** Queries of a batch by kind, as each kind has a statement of its own. */
interface Groups {
  /** Places of the queries for the latest of a key; the same key may be asked for twice. */
  readonly latest: Map<Key, number[]>;
  readonly versions: VersionQuery[];
  readonly asOf: AsOfQuery[];
}

/**
 * Answers a batch of queries in one round trip, with one statement for each kind, and in a few more
 * where some ask for a moment of the past.
 */
export function readBatch(
  database: Database,
  queries: readonly Query[],
): Promise<readonly ReadResult[]> {
  if (queries.length === 0) return Promise.resolve([]);
  return database.read(async (session, deadline) => {
    const results: ReadResult[] = queries.map(() => undefined);
    const withValue = group(queries, true);
    const withoutValue = group(queries, false);
    await readNow(database, session, { groups: [withValue, withoutValue], results, deadline });
    const asOf = [...withValue.asOf, ...withoutValue.asOf];
    if (asOf.length > 0) await findAsOf(database, session, { queries: asOf, results, deadline });
    return results;
  });
}

function group(queries: readonly Query[], value: boolean): Groups {
  const groups: Groups = { latest: new Map(), versions: [], asOf: [] };
  queries.forEach(({ key, select, value: wanted }, place) => {
    if (wanted !== value) return;
    if (select === "latest") {
      const places = groups.latest.get(key);
      if (places === undefined) groups.latest.set(key, [place]);
      else places.push(place);
    } else if ("version" in select) {
      groups.versions.push({ place, key, version: select.version });
    } else {
      groups.asOf.push({ place, key, time: select.asOf, value });
    }
  });
  return groups;
}

async function readNow(
  { tables }: Database,
  session: Session,
  batch: {
    readonly groups: readonly [withValue: Groups, withoutValue: Groups];
    readonly results: ReadResult[];
    readonly deadline: number;
  },
): Promise<void> {
  const statements: string[] = [];
  const readers: ((rows: Rows) => void)[] = [];
  batch.groups.forEach((groups, index) => {
    const value = index === 0;
    if (groups.latest.size > 0) {
      statements.push(latestStatement(tables, [...groups.latest.keys()], value));
      readers.push((rows) => placeLatest(rows, value, groups.latest, batch.results));
    }
    if (groups.versions.length > 0) {
      statements.push(versionsStatement(tables, groups.versions, value));
      readers.push((rows) => placeVersions(rows, value, groups.versions, batch.results));
    }
  });
  if (statements.length === 0) return;
  const answers = await session.run(statements, batch.deadline);
  readers.forEach((read, index) => read(answers[index] ?? []));
}

function placeLatest(
  rows: Rows,
  value: boolean,
  places: ReadonlyMap<Key, readonly number[]>,
  results: ReadResult[],
): void {
  for (const row of rows) {
    const entry = toLatest(row, value);
    for (const place of places.get(toText(row[0]) as Key) ?? []) results[place] = entry;
  }
}

function placeVersions(
  rows: Rows,
  value: boolean,
  queries: readonly VersionQuery[],
  results: ReadResult[],
): void {
  const versions = new Map(queries.map(({ place, version }) => [place, version]));
  for (const row of rows) {
    const place = toNumber(row[0]);
    const version = versions.get(place) ?? 0;
    if (row[2] !== null) results[place] = toEntry(row, 2, value);
    else if (version >= 1 && version < toNumber(row[1])) results[place] = "trimmed";
  }
}
