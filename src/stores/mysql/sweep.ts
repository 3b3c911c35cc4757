import { COMMIT_ID_TTL_MS, REQUEST_ID_TTL_MS } from "../../limits.ts";
import { isRetryable, serverErrorNumber } from "./classify.ts";
import type { Database } from "./database.ts";
import { toNumber, toBuffer, toText } from "./rows.ts";
import type { Rows, Session } from "./session.ts";
import { PARTITIONS } from "./schema.ts";
import { bytesLiteral, hexLiteral, integerLiteral, textLiteral, type Tables } from "./sql.ts";

/** Ended lives that one step looks at. */
const LIVES_MAX = 100;

/** Bytes of values that one step removes: a large value has pages of its own, freed one by one. */
const VALUE_BYTES_MAX = 8 * 1024 * 1024;

/** A key's life that a delete has ended, and whose versions may still be there. */
export interface DeletedLife {
  readonly keyBytes: Buffer;
  readonly incarnation: string;
}

/**
 * One step of housekeeping of each kind, and a pause as long where there is more; answers whether there
 * is.
 */
export async function sweep(
  database: Database,
  options: { readonly feedRetentionMs: number },
): Promise<boolean> {
  const { clock, pace, closing } = database;
  const start = clock.monotonic();
  const isMore = await sweepStep(database, options);
  const stepMs = clock.monotonic() - start;
  pace.learn(stepMs);
  if (isMore) await pace.pause(stepMs, closing);
  return isMore;
}

function sweepStep(
  database: Database,
  options: { readonly feedRetentionMs: number },
): Promise<boolean> {
  return database.write(async (session, deadline) => {
    try {
      return await sweepOnce(database, session, options.feedRetentionMs, deadline);
    } catch (error) {
      // Another process was at the same rows, and there may be more.
      if (serverErrorNumber(error) === undefined || !isRetryable(error)) throw error;
      await session.run(["ROLLBACK"], deadline);
      return true;
    }
  });
}

async function sweepOnce(
  database: Database,
  session: Session,
  feedRetentionMs: number,
  deadline: number,
): Promise<boolean> {
  const now = database.clock.now();
  const steps = [
    await sweepDeleted(database, session, deadline),
    await sweepCommits(database, session, deadline),
    await sweepRequests(database, session, now - REQUEST_ID_TTL_MS, deadline),
    await sweepFeed(database, session, now - feedRetentionMs, deadline),
  ];
  return steps.includes(true);
}

/** Removes some of what deletes have left behind; processes that do so at once take different lives. */
function sweepDeleted(database: Database, session: Session, deadline: number): Promise<boolean> {
  const some = `ORDER BY key_bytes, incarnation LIMIT ${LIVES_MAX} FOR UPDATE SKIP LOCKED`;
  return clearSome(database, session, some, deadline);
}

/** Removes some versions of one ended life; answers whether there may be more. */
export function clearDeleted(
  database: Database,
  session: Session,
  life: DeletedLife,
  deadline: number,
): Promise<boolean> {
  const one =
    `WHERE key_bytes = ${bytesLiteral(life.keyBytes)} ` +
    `AND incarnation = ${textLiteral(life.incarnation)} FOR UPDATE`;
  return clearSome(database, session, one, deadline);
}

/** Versions of one ended life, from the oldest that is left. */
interface Remains {
  readonly where: string;
  readonly next: number;
  readonly last: number;
  /** Where this step stops, itself not removed. */
  end: number;
}

/**
 * Versions have no gaps, so each step is a range by number: looking for the oldest ones left would pass
 * over every row that earlier steps have marked and InnoDB has not yet purged.
 */
async function clearSome(
  { tables, pace }: Database,
  session: Session,
  which: string,
  deadline: number,
): Promise<boolean> {
  const columns = "key_bytes, incarnation, next_version, last_version";
  const [, rows = []] = await session.run(
    ["START TRANSACTION", `SELECT ${columns} FROM ${tables.deleted} ${which}`],
    deadline,
  );
  const lives = chooseRanges(rows, pace.rows);
  if (lives.length === 0) {
    await session.run(["ROLLBACK"], deadline);
    return false;
  }
  await limitBytes(tables, session, lives, deadline);
  const statements = lives.flatMap(({ where, next, last, end }) => {
    if (end <= next) return [];
    return [
      `DELETE FROM ${tables.versions} WHERE ${where} ` +
        `AND version >= ${integerLiteral(next)} AND version < ${integerLiteral(end)}`,
      end > last
        ? `DELETE FROM ${tables.deleted} WHERE ${where}`
        : `UPDATE ${tables.deleted} SET next_version = ${integerLiteral(end)} WHERE ${where}`,
    ];
  });
  await session.run([...statements, "COMMIT"], deadline);
  return (
    rows.length === LIVES_MAX ||
    rows.length > lives.length ||
    lives.some(({ last, end }) => end <= last)
  );
}

/** As many versions as one step may remove, of the first lives. */
function chooseRanges(rows: Rows, versionsMax: number): Remains[] {
  const lives: Remains[] = [];
  let left = versionsMax;
  for (const [key, incarnation, nextVersion, lastVersion] of rows) {
    if (left <= 0) break;
    const next = toNumber(nextVersion);
    const last = toNumber(lastVersion);
    const end = Math.min(last + 1, next + left);
    left -= end - next;
    const where =
      `key_bytes = ${bytesLiteral(toBuffer(key))} ` +
      `AND incarnation = ${textLiteral(toText(incarnation))}`;
    lives.push({ where, next, last, end });
  }
  return lives;
}

/** Ends the step early where the values are large. */
async function limitBytes(
  { versions }: Tables,
  session: Session,
  lives: readonly Remains[],
  deadline: number,
): Promise<void> {
  const sizes = lives.map(
    ({ where, next, end }, place) =>
      `(SELECT ${place} AS place, version, size FROM ${versions} WHERE ${where} ` +
      `AND version >= ${integerLiteral(next)} AND version < ${integerLiteral(end)})`,
  );
  const [rows = []] = await session.run([sizes.join(" UNION ALL ")], deadline);
  let bytes = 0;
  for (const [place, version, size] of rows) {
    const life = lives[toNumber(place)];
    if (life !== undefined && bytes > VALUE_BYTES_MAX) {
      life.end = Math.min(life.end, toNumber(version));
    }
    bytes += toNumber(size);
  }
}

/** Ids begin with the time they were made, in milliseconds, on the database's clock. */
async function sweepCommits(
  database: Database,
  session: Session,
  deadline: number,
): Promise<boolean> {
  const { commits } = database.tables;
  const limit = database.pace.rows;
  const before = Math.floor(database.options.serverTime()) - COMMIT_ID_TTL_MS;
  const end = hexLiteral(before.toString(16).padStart(12, "0"));
  const [, rows = []] = await session.run(
    [`DELETE FROM ${commits} WHERE id < ${end} ORDER BY id LIMIT ${limit}`, `SELECT ROW_COUNT()`],
    deadline,
  );
  return toNumber(rows[0]?.[0]) === limit;
}

async function sweepRequests(
  database: Database,
  session: Session,
  before: number,
  deadline: number,
): Promise<boolean> {
  const limit = database.pace.rows;
  const [, rows = []] = await session.run(
    [
      `DELETE FROM ${database.tables.requests} WHERE created_at <= ${integerLiteral(before)} ` +
        `ORDER BY created_at LIMIT ${limit}`,
      `SELECT ROW_COUNT()`,
    ],
    deadline,
  );
  return toNumber(rows[0]?.[0]) === limit;
}

/**
 * Removes what is too old from the beginning of each partition. Rows are looked at in the order of
 * their numbers, up to the first that is young enough, since the clocks that wrote them may differ.
 */
async function sweepFeed(
  database: Database,
  session: Session,
  before: number,
  deadline: number,
): Promise<boolean> {
  const { feed, partitions } = database.tables;
  const oldest = (count: number, ids: readonly number[]): string =>
    ids
      .map(
        (id) =>
          `(SELECT partition_id, seq, at FROM ${feed} WHERE partition_id = ${id} ` +
          `ORDER BY seq LIMIT ${count})`,
      )
      .join(" UNION ALL ");
  const all = Array.from({ length: PARTITIONS }, (_, id) => id);
  const [firsts = []] = await session.run([oldest(1, all)], deadline);
  const due = firsts.flatMap(([id, , at]) => (toNumber(at) < before ? [toNumber(id)] : []));
  if (due.length === 0) return false;
  const limit = Math.ceil(database.pace.rows / due.length);
  const [rows = []] = await session.run([oldest(limit, due)], deadline);
  const ends = new Map<number, number>();
  const young = new Set<number>();
  let removed = 0;
  for (const row of rows) {
    const [partition = 0, seq = 0, at = 0] = row.map(toNumber);
    if (at >= before) young.add(partition);
    if (young.has(partition)) continue;
    ends.set(partition, seq);
    removed += 1;
  }
  // The partitions' rows, which every commit needs, are locked last.
  const statements = [...ends].map(
    ([partition, end]) => `DELETE FROM ${feed} WHERE partition_id = ${partition} AND seq <= ${end}`,
  );
  for (const [partition, end] of [...ends].toSorted(([a], [b]) => a - b)) {
    statements.push(
      `UPDATE ${partitions} SET trimmed_to = GREATEST(trimmed_to, ${end}) WHERE id = ${partition}`,
    );
  }
  await session.run(["START TRANSACTION", ...statements, "COMMIT"], deadline);
  return removed === rows.length && rows.length >= limit;
}
