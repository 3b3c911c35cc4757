import { COMMIT_ID_TTL_MS, REQUEST_ID_TTL_MS } from "../../limits.ts";
import type { Database } from "./database.ts";
import { toNumber, toBuffer, toText } from "./rows.ts";
import type { Session } from "./session.ts";
import { PARTITIONS } from "./schema.ts";
import { bytesLiteral, hexLiteral, integerLiteral, textLiteral } from "./sql.ts";

/** Rows that one step removes of each kind, so that it takes the database a few milliseconds. */
const ROWS_MAX = 500;

/** Bytes of values that one step removes: a large value has pages of its own, freed one by one. */
const VALUE_BYTES_MAX = 8 * 1024 * 1024;

/** A key's life that a delete has ended, and whose versions may still be there. */
export interface DeletedLife {
  readonly keyBytes: Buffer;
  readonly incarnation: string;
}

/** One step of housekeeping of each kind; answers whether any has more to do. */
export async function sweep(
  database: Database,
  options: { readonly feedRetentionMs: number },
): Promise<boolean> {
  const now = database.clock.now();
  return database.write(async (session, deadline) => {
    const steps = [
      await sweepDeleted(database, session, deadline),
      await sweepCommits(database, session, deadline),
      await sweepRequests(database, session, now - REQUEST_ID_TTL_MS, deadline),
      await sweepFeed(database, session, now - options.feedRetentionMs, deadline),
    ];
    return steps.includes(true);
  });
}

async function sweepDeleted(
  database: Database,
  session: Session,
  deadline: number,
): Promise<boolean> {
  const [rows = []] = await session.run(
    [`SELECT key_bytes, incarnation FROM ${database.tables.deleted} LIMIT 16`],
    deadline,
  );
  const lives = rows.map(([key, incarnation]) => ({
    keyBytes: toBuffer(key),
    incarnation: toText(incarnation) ?? "",
  }));
  for (const life of lives) {
    if (await clearDeleted(database, session, life, deadline)) return true;
  }
  return lives.length === 16;
}

/**
 * Removes some versions of an ended life, and its own row with the last of them; answers whether there
 * is more. Versions have no gaps, so each step is a range by number: looking for the oldest ones left
 * would pass over every row that earlier steps have marked and InnoDB has not yet purged.
 */
export async function clearDeleted(
  database: Database,
  session: Session,
  life: DeletedLife,
  deadline: number,
): Promise<boolean> {
  const { deleted, versions } = database.tables;
  const isLife = `key_bytes = ${bytesLiteral(life.keyBytes)} AND incarnation = ${textLiteral(life.incarnation)}`;
  const [, bounds = []] = await session.run(
    [
      "START TRANSACTION",
      `SELECT next_version, last_version FROM ${deleted} WHERE ${isLife} FOR UPDATE`,
    ],
    deadline,
  );
  const [next, last] = (bounds[0] ?? []).map(toNumber);
  if (next === undefined || last === undefined) {
    await session.run(["ROLLBACK"], deadline);
    return false;
  }
  const [sizes = []] = await session.run(
    [
      `SELECT version, size FROM ${versions} WHERE ${isLife} AND version >= ${integerLiteral(next)} ` +
        `AND version < ${integerLiteral(next + ROWS_MAX)} ORDER BY version`,
    ],
    deadline,
  );
  let end = next + ROWS_MAX;
  let bytes = 0;
  for (const [version, size] of sizes) {
    if (bytes > VALUE_BYTES_MAX) {
      end = toNumber(version);
      break;
    }
    bytes += toNumber(size);
  }
  const isDone = end > last;
  await session.run(
    [
      `DELETE FROM ${versions} WHERE ${isLife} AND version >= ${integerLiteral(next)} ` +
        `AND version < ${integerLiteral(end)}`,
      isDone
        ? `DELETE FROM ${deleted} WHERE ${isLife}`
        : `UPDATE ${deleted} SET next_version = ${integerLiteral(end)} WHERE ${isLife}`,
      "COMMIT",
    ],
    deadline,
  );
  return !isDone;
}

/** Ids begin with the time they were made, in milliseconds, on the database's clock. */
async function sweepCommits(
  database: Database,
  session: Session,
  deadline: number,
): Promise<boolean> {
  const { commits } = database.tables;
  const before = Math.floor(database.options.serverTime()) - COMMIT_ID_TTL_MS;
  const end = hexLiteral(before.toString(16).padStart(12, "0"));
  const [, rows = []] = await session.run(
    [
      `DELETE FROM ${commits} WHERE id < ${end} ORDER BY id LIMIT ${ROWS_MAX}`,
      `SELECT ROW_COUNT()`,
    ],
    deadline,
  );
  return toNumber(rows[0]?.[0]) === ROWS_MAX;
}

async function sweepRequests(
  database: Database,
  session: Session,
  before: number,
  deadline: number,
): Promise<boolean> {
  const [, rows = []] = await session.run(
    [
      `DELETE FROM ${database.tables.requests} WHERE created_at <= ${integerLiteral(before)} ` +
        `ORDER BY created_at LIMIT ${ROWS_MAX}`,
      `SELECT ROW_COUNT()`,
    ],
    deadline,
  );
  return toNumber(rows[0]?.[0]) === ROWS_MAX;
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
  const limit = Math.ceil(ROWS_MAX / PARTITIONS);
  const oldest = Array.from(
    { length: PARTITIONS },
    (_, id) =>
      `(SELECT partition_id, seq, at FROM ${feed} WHERE partition_id = ${id} ORDER BY seq LIMIT ${limit})`,
  );
  const [rows = []] = await session.run([oldest.join(" UNION ALL ")], deadline);
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
  if (ends.size === 0) return false;
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
