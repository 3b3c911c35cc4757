import type { Query, ReadResult } from "../../store.ts";
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
import { findMoments } from "./moments.ts";
import { readPlaces, type Place } from "./places.ts";
import { readHeads, toState, type HeadDocument } from "./states.ts";

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

/** Answers a batch of queries: the latest ones in one command, others in a second one. */
export async function readEntries(
  database: Database,
  queries: readonly Query[],
  deadline: Deadline,
): Promise<readonly ReadResult[]> {
  const heads = await headsFor(database, queries, deadline);
  const results = queries.map((): ReadResult => undefined);
  const found: Found[] = [];
  const searches: (Older & { readonly asOf: number })[] = [];
  queries.forEach((query, index) => {
    const head = heads.get(query.key);
    const live = head && toState(head).live;
    if (head === undefined || live === undefined) return;
    const older = { index, query, live };
    const version = versionFor(query, live);
    if (version === live.version && hasWanted(head, query)) {
      results[index] = toStored(older, version, head.e ?? undefined);
    } else if (version !== undefined) {
      found.push({ ...older, version });
    } else if (typeof query.select === "object" && "asOf" in query.select) {
      searches.push({ ...older, asOf: query.select.asOf });
    }
  });
  const moments = searches.map(({ query, live, asOf }) => ({ key: query.key, live, asOf }));
  const positions = await findMoments(database, moments, deadline);
  searches.forEach((search, i) => {
    const version = versionAt(search.live, positions[i] ?? 0);
    found.push({ ...search, version });
  });
  await readFound(database, found, { results, deadline });
  return results;
}

/** The version that a query asks for, where the head tells; undefined where it has to be searched. */
function versionFor({ select }: Query, live: LiveKey): number | undefined {
  if (select === "latest") return live.version;
  if ("version" in select) return select.version;
  return select.asOf >= live.createdAt ? live.version : undefined;
}

function hasWanted(head: HeadDocument, query: Query): boolean {
  return !query.value || head.e?.d !== undefined;
}

/** Values come along only for keys whose latest value is asked for. */
async function headsFor(
  database: Database,
  queries: readonly Query[],
  deadline: Deadline,
): Promise<Map<string, HeadDocument>> {
  const wantsValue = ({ select, value }: Query): boolean => value && select === "latest";
  const withValue = new Set(queries.filter(wantsValue).map((query) => query.key));
  const without = new Set(queries.map((query) => query.key).filter((key) => !withValue.has(key)));
  const [heads, others] = await Promise.all([
    readHeads(database, [...withValue], true, { deadline }),
    readHeads(database, [...without], false, { deadline }),
  ]);
  for (const [key, head] of others) heads.set(key, head);
  return heads;
}

function placeOf({ query, live }: Older, position: number): Place {
  return { key: query.key, incarnation: live.incarnation, position };
}

async function readFound(
  database: Database,
  found: readonly Found[],
  { results, deadline }: { readonly results: ReadResult[]; readonly deadline: Deadline },
): Promise<void> {
  const inHistory = found.filter((one) => {
    const first = firstVersionOf(one.live);
    if (one.version < first && one.version >= 1) results[one.index] = "trimmed";
    return one.version >= first && one.version <= one.live.version;
  });
  for (const detail of ["info", "all"] as const) {
    const wanted = inHistory.filter(({ query }) => query.value === (detail === "all"));
    const places = wanted.map((one) => placeOf(one, positionOf(one.live, one.version)));
    const entries = await readPlaces(database, places, detail, deadline);
    wanted.forEach((one, i) => (results[one.index] = toStored(one, one.version, entries[i])));
  }
}

function toStored(
  { query, live }: Older,
  version: number,
  entry: EntryDocument | undefined,
): ReadResult {
  if (entry === undefined) return "trimmed";
  if (query.value) return toEntry(live.incarnation, version, entry);
  return { ...toEntryInfo(live.incarnation, version, entry), value: undefined };
}
