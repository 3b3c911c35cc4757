import type { Query, ReadResult } from "../../store.ts";
import { findAsOf, type AsOfQuery } from "./as-of.ts";
import type { Database } from "./database.ts";
import type { LatestCache } from "./latest-cache.ts";
import { LatestReads, type LatestQueries, type Step } from "./latest.ts";
import { versionsStatement, type VersionQuery } from "./read-statements.ts";
import { toEntry, toNumber } from "./rows.ts";
import type { Rows, Session } from "./session.ts";

/** Queries of a batch by kind, as each kind has a statement of its own. */
interface Groups {
  readonly latest: LatestQueries;
  readonly withValue: VersionQuery[];
  readonly withoutValue: VersionQuery[];
  readonly asOf: AsOfQuery[];
}

/**
 * Answers a batch of queries in one round trip, with one statement for each kind. A second one follows
 * where an entry at hand was outdated, and a few more where some ask for a moment of the past.
 */
export function readBatch(
  database: Database,
  cache: LatestCache,
  queries: readonly Query[],
): Promise<readonly ReadResult[]> {
  if (queries.length === 0) return Promise.resolve([]);
  const groups = group(queries);
  return database.read(async (session, deadline) => {
    const results: ReadResult[] = queries.map(() => undefined);
    const latest = new LatestReads(database, cache, results);
    const steps = [...latest.steps(groups.latest), ...versionSteps(database, groups, results)];
    await runSteps(session, steps, deadline);
    await runSteps(session, latest.stepsAfter(), deadline);
    const { asOf } = groups;
    if (asOf.length > 0) await findAsOf(database, session, { queries: asOf, results, deadline });
    return results;
  });
}

function group(queries: readonly Query[]): Groups {
  const groups: Groups = {
    latest: { withValue: new Map(), withoutValue: new Map() },
    withValue: [],
    withoutValue: [],
    asOf: [],
  };
  queries.forEach(({ key, select, value }, place) => {
    const kind = value ? "withValue" : "withoutValue";
    if (select === "latest") {
      const places = groups.latest[kind].get(key);
      if (places === undefined) groups.latest[kind].set(key, [place]);
      else places.push(place);
    } else if ("version" in select) {
      groups[kind].push({ place, key, version: select.version });
    } else {
      groups.asOf.push({ place, key, time: select.asOf, value });
    }
  });
  return groups;
}

async function runSteps(session: Session, steps: readonly Step[], deadline: number): Promise<void> {
  if (steps.length === 0) return;
  const answers = await session.run(
    steps.map(({ statement }) => statement),
    deadline,
  );
  steps.forEach(({ take }, index) => take(answers[index] ?? []));
}

function versionSteps({ tables }: Database, groups: Groups, results: ReadResult[]): Step[] {
  return (["withValue", "withoutValue"] as const).flatMap((kind) => {
    const queries = groups[kind];
    if (queries.length === 0) return [];
    const value = kind === "withValue";
    const statement = versionsStatement(tables, queries, value);
    const take = (rows: Rows): void => placeVersions(rows, { value, queries, results });
    return [{ statement, take }];
  });
}

function placeVersions(
  rows: Rows,
  asked: {
    readonly value: boolean;
    readonly queries: readonly VersionQuery[];
    readonly results: ReadResult[];
  },
): void {
  const { value, queries, results } = asked;
  const versions = new Map(queries.map(({ place, version }) => [place, version]));
  for (const row of rows) {
    const place = toNumber(row[0]);
    const version = versions.get(place) ?? 0;
    if (row[2] !== null) results[place] = toEntry(row, 2, value);
    else if (version >= 1 && version < toNumber(row[1])) results[place] = "trimmed";
  }
}
