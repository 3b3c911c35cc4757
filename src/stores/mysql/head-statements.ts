import { compareKeys, type Key } from "../../key.ts";
import type { Head, Heads } from "../shared/plan.ts";
import {
  chunk,
  compareRowCount,
  failure,
  hexLiteral,
  integerLiteral,
  keyList,
  textLiteral,
  type Tables,
} from "./sql.ts";

/** Keys of one batch that may move on by more than one version without being written out whole. */
const LONG_STEPS_MAX = 16;

export interface HeadContext {
  readonly tables: Tables;
  /** The heads that the plan was made from. */
  readonly before: Heads;
  /** Where those are guesses, the stamp of each: the database checks that it is still the same. */
  readonly stamps: ReadonlyMap<Key, string> | undefined;
  /** The heads that it leads to. */
  readonly after: Heads;
  /** Rows of `heads` that hold back creation, and are to go or to be replaced. */
  readonly placeholders: readonly Key[];
  readonly now: number;
  /** 16 hexadecimal digits that no other commit has. */
  readonly stamp: string;
  /** A statement that fails unless the one before it affected so many rows. */
  readonly check: (affected: number) => string;
}

/** A statement, and how many rows it affects where the heads are what the plan was made from. */
interface Change {
  readonly sql: string;
  readonly affected: number;
}

/** A head that moves on to a later version. */
interface Step {
  readonly key: Key;
  readonly by: number;
}

interface Row {
  readonly key: Key;
  readonly sql: string;
  readonly isChange: boolean;
}

/**
 * Moves the heads of the keys that a plan writes to, and fails unless each is what the plan was made
 * from. Most only move on to their next version: one short update does that for all of them, at half
 * of what writing their rows anew would cost the database.
 */
export function headStatements(keys: Iterable<Key>, context: HeadContext): string[] {
  const { tables, before, after, now } = context;
  const removed = new Set(context.placeholders);
  const steps: Step[] = [];
  const rows: Row[] = [];
  let longSteps = 0;
  for (const key of keys) {
    const old = before.get(key);
    const head = after.get(key);
    const isChange = old !== undefined && old.incarnation === head?.incarnation;
    if (old !== undefined && !isChange) removed.add(key);
    if (head === undefined) continue;
    if (isChange && head.createdAt === Math.max(now, old.createdAt)) {
      const by = head.version - old.version;
      if (by !== 1) longSteps += 1;
      if (by === 1 || longSteps <= LONG_STEPS_MAX) {
        steps.push({ key, by });
        continue;
      }
    }
    const previous = isChange ? old.version : 0;
    rows.push({ key, isChange, sql: headRow(key, head, { previous, stamp: context.stamp }) });
  }
  const deletes =
    removed.size === 0
      ? []
      : [`DELETE FROM ${tables.heads} WHERE key_bytes IN (${keyList(removed)})`];
  return [
    ...deletes,
    ...checked([...stepChanges(steps, context), ...rowChanges(rows, tables)], context),
  ];
}

/** Each change with its check after it; `context.check` is the last one. */
function checked(changes: readonly Change[], context: HeadContext): string[] {
  return changes.flatMap(({ sql, affected }, index) => {
    const check = index === changes.length - 1 ? context.check : compareRowCount;
    return [sql, check(affected)];
  });
}

/**
 * The update takes its locks in the order of the index, which is the order of the keys. Stamps are
 * compared together with their keys, as one value: the database takes three times as long over pairs.
 */
function stepChanges(steps: readonly Step[], context: HeadContext): Change[] {
  const { tables, stamps, now } = context;
  return chunk(steps, ({ key }) => 8 * key.length + 40).map((group) => {
    const keys = group.map(({ key }) => textLiteral(key)).join(",");
    const isKnown =
      stamps === undefined
        ? ""
        : ` AND CONCAT(stamp, key_bytes) IN (${group.map(({ key }) => stampedKey(key, stamps)).join(",")})`;
    const sql =
      `UPDATE ${tables.heads} FORCE INDEX (PRIMARY) SET version = version + ${stepOf(group)}, ` +
      `created_at = GREATEST(created_at, ${integerLiteral(now)}), ` +
      `stamp = ${hexLiteral(context.stamp)} WHERE key_bytes IN (${keys})${isKnown}`;
    return { sql, affected: group.length };
  });
}

/** A stamp has a fixed width, so no other pair of stamp and key makes the same bytes. */
function stampedKey(key: Key, stamps: ReadonlyMap<Key, string>): string {
  return hexLiteral(`${stamps.get(key) ?? ""}${Buffer.from(key).toString("hex")}`);
}

function stepOf(steps: readonly Step[]): string {
  const long = steps.filter(({ by }) => by !== 1);
  if (long.length === 0) return "1";
  const cases = long.map(({ key, by }) => `WHEN ${textLiteral(key)} THEN ${integerLiteral(by)}`);
  return `CASE key_bytes ${cases.join(" ")} ELSE 1 END`;
}

function headRow(
  key: Key,
  head: Head,
  { previous, stamp }: { readonly previous: number; readonly stamp: string },
): string {
  const numbers = [head.version, previous, head.firstVersion, head.createdAt].map(integerLiteral);
  const incarnation = textLiteral(head.incarnation);
  return `(${textLiteral(key)},${incarnation},${numbers.join(",")},${hexLiteral(stamp)})`;
}

function rowChanges(rows: readonly Row[], tables: Tables): Change[] {
  const sorted = rows.toSorted((a, b) => compareKeys(a.key, b.key));
  return chunk(sorted, ({ sql }) => sql.length).map((group) => {
    // An upsert counts 1 for a row that it inserts and 2 for one that it changes; one row too many
    // inserted means that a key was deleted meanwhile.
    const affected = group.reduce((sum, { isChange }) => sum + (isChange ? 2 : 1), 0);
    return { sql: headUpsert(tables, group.map(({ sql }) => sql).join(",")), affected };
  });
}

/**
 * Moves heads on, and fails unless each is what the plan was made from: of that incarnation and
 * version, or absent where the previous version is 0.
 */
function headUpsert(tables: Tables, rows: string): string {
  const isExpected = "incarnation = VALUES(incarnation) AND version = VALUES(previous_version)";
  return (
    `INSERT INTO ${tables.heads} ` +
    "(key_bytes, incarnation, version, previous_version, first_version, created_at, stamp) VALUES " +
    `${rows} ON DUPLICATE KEY UPDATE ` +
    `previous_version = IF(${isExpected}, VALUES(previous_version), ${failure("VALUES(version)")}), ` +
    "version = VALUES(version), created_at = VALUES(created_at), stamp = VALUES(stamp)"
  );
}
