import type { Key } from "../../key.ts";
import type { ReadResult } from "../../store.ts";
import type { Database } from "./database.ts";
import { BY_KEY, versionsStatement } from "./read-statements.ts";
import { toEntry, toNumber, toText } from "./rows.ts";
import type { Session } from "./session.ts";
import { integerLiteral, keyList, textLiteral, type Tables } from "./sql.ts";

export interface AsOfQuery {
  readonly place: number;
  readonly key: Key;
  readonly time: number;
  readonly value: boolean;
}

/** Versions looked at in one round trip, over all queries, and for one query. */
const PROBES_MAX = 1024;
const PROBES_PER_QUERY = 32;

/** A key may be deleted or trimmed while its history is searched; then the search starts over. */
const ATTEMPTS_MAX = 5;

/**
 * One query's search. The versions up to `low` were there at that time, those above `high` were not;
 * `low` starts below the first version, and the search ends when both meet.
 */
interface Search {
  readonly query: AsOfQuery;
  readonly incarnation: string;
  readonly firstVersion: number;
  low: number;
  high: number;
}

interface AsOfBatch {
  readonly queries: readonly AsOfQuery[];
  readonly results: ReadResult[];
  readonly deadline: number;
}

/**
 * Finds what was the latest at a moment. Times never go back within a life of a key, so a search by
 * number does it, without an index that every write would pay for: each round trip looks at 32 versions
 * and leaves one part in 33, so a million versions take four.
 */
export async function findAsOf(
  { tables }: Database,
  session: Session,
  batch: AsOfBatch,
): Promise<void> {
  let queries = batch.queries;
  for (let attempt = 1; queries.length > 0 && attempt <= ATTEMPTS_MAX; attempt += 1) {
    const searches = await startSearches(tables, session, queries, batch.deadline);
    for (;;) {
      const open = searches.filter(({ low, high }) => low < high);
      if (open.length === 0) break;
      await narrow(tables, session, open, batch.deadline);
    }
    queries = await fetchFound(tables, session, searches, batch);
  }
}

async function startSearches(
  tables: Tables,
  session: Session,
  queries: readonly AsOfQuery[],
  deadline: number,
): Promise<readonly Search[]> {
  const [rows = []] = await session.run(
    [
      `SELECT key_bytes, incarnation, first_version, version, created_at FROM ${tables.heads} ` +
        `WHERE key_bytes IN (${keyList(new Set(queries.map(({ key }) => key)))})`,
    ],
    deadline,
  );
  const heads = new Map(rows.map((row) => [toText(row[0]), row]));
  return queries.flatMap((query) => {
    const head = heads.get(query.key);
    if (head === undefined) return [];
    const [firstVersion = 0, version = 0, createdAt = 0] = head.slice(2).map(toNumber);
    const low = createdAt <= query.time ? version : firstVersion - 1;
    return [{ query, incarnation: toText(head[1]) ?? "", firstVersion, low, high: version }];
  });
}

async function narrow(
  tables: Tables,
  session: Session,
  searches: readonly Search[],
  deadline: number,
): Promise<void> {
  const each = Math.max(1, Math.min(PROBES_PER_QUERY, Math.floor(PROBES_MAX / searches.length)));
  const probes = searches.flatMap((search, index) =>
    probesOf(search, each).map(
      (version) =>
        `SELECT ${index} AS place,${textLiteral(search.query.key)} AS k,` +
        `${textLiteral(search.incarnation)} AS i,${integerLiteral(version)} AS n`,
    ),
  );
  const [rows = []] = await session.run(
    [
      "SELECT STRAIGHT_JOIN q.place, v.version, v.created_at " +
        `FROM (${probes.join(" UNION ALL ")}) q JOIN ${tables.versions} v ${BY_KEY} ` +
        "ON v.key_bytes = q.k AND v.incarnation = q.i AND v.version = q.n",
    ],
    deadline,
  );
  const seen = new Set<Search>();
  for (const row of rows) {
    const [place = 0, version = 0, createdAt = 0] = row.map(toNumber);
    const search = searches[place];
    if (search === undefined) continue;
    seen.add(search);
    if (createdAt <= search.query.time) search.low = Math.max(search.low, version);
    else search.high = Math.min(search.high, version - 1);
  }
  // Whoever found none of its versions was overtaken by a delete, and is to start over.
  for (const search of searches) if (!seen.has(search)) search.low = search.high;
}

/** Evenly spread between the versions known to be early and late enough. */
function probesOf({ low, high }: Search, count: number): readonly number[] {
  const step = Math.max(1, Math.ceil((high - low) / (count + 1)));
  const probes: number[] = [];
  for (let version = low + step; version <= high; version += step) probes.push(version);
  return probes.length > 0 ? probes : [high];
}

/** Places what was found; answers the queries whose entry has gone meanwhile. */
async function fetchFound(
  tables: Tables,
  session: Session,
  searches: readonly Search[],
  batch: AsOfBatch,
): Promise<readonly AsOfQuery[]> {
  const found: Search[] = [];
  for (const search of searches) {
    if (search.low >= search.firstVersion) found.push(search);
    else batch.results[search.query.place] = search.firstVersion > 1 ? "trimmed" : undefined;
  }
  const groups = [true, false].flatMap((value) => {
    const group = found.filter(({ query }) => query.value === value);
    return group.length > 0 ? [{ value, group }] : [];
  });
  if (groups.length === 0) return [];
  const answers = await session.run(
    groups.map(({ value, group }) =>
      versionsStatement(
        tables,
        group.map(({ query, low }) => ({ place: query.place, key: query.key, version: low })),
        value,
      ),
    ),
    batch.deadline,
  );
  const byPlace = new Map(found.map((search) => [search.query.place, search]));
  const missing = new Set(found.map(({ query }) => query));
  groups.forEach(({ value }, index) => {
    for (const row of answers[index] ?? []) {
      const search = byPlace.get(toNumber(row[0]));
      if (search === undefined || toText(row[2]) !== search.incarnation) continue;
      batch.results[search.query.place] = toEntry(row, 2, value);
      missing.delete(search.query);
    }
  });
  return [...missing];
}
