import { setTimeout as sleep } from "node:timers/promises";
import { StateError } from "../../errors.ts";
import type { Key } from "../../key.ts";
import type { Change, ChangeBatch, Cursor } from "../../store.ts";
import { closedError } from "../shared/closed.ts";
import { fromPosition, toPosition } from "../shared/position.ts";
import type { Database } from "./database.ts";
import { toNumber, toText } from "./rows.ts";
import { PARTITIONS } from "./schema.ts";
import { integerLiteral } from "./sql.ts";
import type { StoredChange } from "./write-statements.ts";

/** How soon another process's commit is seen. */
const POLL_MS = 20;

/** This process's own commits wake its followers at once, but not more often than this. */
const RING_GAP_MS = 5;

/** Wait before another attempt while the database is away. */
const RETRY_MS = 100;

/** Rows of one partition in one read; each holds the changes of one commit. */
const ROWS_MAX = 20;

/** A row's last change, and every position past a whole row, has this index. */
const WHOLE_ROW = 99_999;

/** How far a partition has been read: `index` changes of row `seq`, or all of it. */
interface Position {
  readonly seq: number;
  readonly index: number;
}

interface PartitionState {
  readonly seq: number;
  readonly trimmedTo: number;
}

/** Follows the table of changes. Every follower polls for itself; the engine has one per process. */
export class Feed {
  readonly #database: Database;
  readonly #waiting = new Set<() => void>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** Wakes the followers: this process has committed something. */
  ring(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  async *follow(after: Cursor | "now", signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    const ends = AbortSignal.any([signal, this.#database.closing]);
    let positions = after === "now" ? undefined : parseCursor(after);
    let announced = false;
    while (!ends.aborted) {
      const batch = await this.#next(positions, ends);
      if (batch === undefined) continue;
      positions = batch.positions;
      const { changes, caughtUp } = batch;
      if (changes.length > 0 || (caughtUp && !announced)) {
        announced ||= caughtUp;
        yield { changes, cursor: positions.map(toCursor), caughtUp };
      }
      if (caughtUp) await this.#pause(ends);
    }
    if (!signal.aborted) throw closedError();
  }

  /** Undefined where the database was away: it is then asked again. */
  async #next(
    positions: readonly Position[] | undefined,
    ends: AbortSignal,
  ): Promise<
    | {
        readonly changes: readonly Change[];
        readonly positions: readonly Position[];
        readonly caughtUp: boolean;
      }
    | undefined
  > {
    try {
      const states = await this.#readPartitions();
      if (positions === undefined) {
        const present = states.map(({ seq }) => ({ seq, index: WHOLE_ROW }));
        return { changes: [], positions: present, caughtUp: true };
      }
      const checked = positions.map((position, id) => startOf(position, states[id]));
      const behind = checked.flatMap(({ seq, index }, id) =>
        (states[id]?.seq ?? 0) > seq || index < WHOLE_ROW ? [id] : [],
      );
      const read = await this.#readChanges(checked, behind);
      const caughtUp = read.positions.every(
        ({ seq, index }, id) => seq >= (states[id]?.seq ?? 0) && index === WHOLE_ROW,
      );
      return { ...read, caughtUp };
    } catch (error) {
      if (ends.aborted) return undefined;
      if (error instanceof StateError && error.code !== "store_unavailable") throw error;
      await sleep(RETRY_MS, undefined, { signal: ends }).catch(() => {});
      return undefined;
    }
  }

  async #readPartitions(): Promise<readonly PartitionState[]> {
    const { partitions } = this.#database.tables;
    return this.#database.read(async (session, deadline) => {
      const [rows = []] = await session.run(
        [`SELECT seq, trimmed_to FROM ${partitions} ORDER BY id`],
        deadline,
      );
      return rows.map(([seq, trimmedTo]) => ({
        seq: toNumber(seq),
        trimmedTo: toNumber(trimmedTo),
      }));
    });
  }

  async #readChanges(
    positions: readonly Position[],
    behind: readonly number[],
  ): Promise<{ readonly changes: readonly Change[]; readonly positions: readonly Position[] }> {
    if (behind.length === 0) return { changes: [], positions };
    const { feed } = this.#database.tables;
    const statement = behind.map((id) => {
      const { seq, index } = positions[id] ?? BEGINNING;
      const from = index === WHOLE_ROW ? seq + 1 : seq;
      return (
        `(SELECT partition_id, seq, changes FROM ${feed} WHERE partition_id = ${id} ` +
        `AND seq >= ${integerLiteral(from)} ORDER BY seq LIMIT ${ROWS_MAX})`
      );
    });
    const rows = await this.#database.read(async (session, deadline) => {
      const [found = []] = await session.run([statement.join(" UNION ALL ")], deadline);
      return found;
    });
    const changes: Change[] = [];
    const next = [...positions];
    for (const row of rows) {
      const partition = toNumber(row[0]);
      const seq = toNumber(row[1]);
      const position = next[partition] ?? BEGINNING;
      // Numbers are taken under a lock that is held to the commit, so they have no gap but the trimmed.
      const isNext = position.index === WHOLE_ROW ? position.seq + 1 : position.seq;
      if (seq !== isNext) throw expired();
      const stored = JSON.parse(toText(row[2]) ?? "[]") as readonly StoredChange[];
      const skipped = position.index === WHOLE_ROW ? 0 : position.index;
      addChanges(changes, stored, { partition, seq, skipped });
      next[partition] = { seq, index: WHOLE_ROW };
    }
    return { changes, positions: next };
  }

  async #pause(ends: AbortSignal): Promise<void> {
    const start = this.#database.clock.monotonic();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, POLL_MS);
    this.#waiting.add(resolve);
    const onAbort = (): void => resolve();
    ends.addEventListener("abort", onAbort);
    await promise;
    ends.removeEventListener("abort", onAbort);
    clearTimeout(timer);
    this.#waiting.delete(resolve);
    const waited = this.#database.clock.monotonic() - start;
    if (waited < RING_GAP_MS && !ends.aborted) await sleep(RING_GAP_MS - waited);
  }
}

const BEGINNING: Position = { seq: 0, index: WHOLE_ROW };

function addChanges(
  changes: Change[],
  stored: readonly StoredChange[],
  row: { readonly partition: number; readonly seq: number; readonly skipped: number },
): void {
  stored.forEach(([key, incarnation, version, deleted, at], index) => {
    if (index < row.skipped) return;
    const isLast = index === stored.length - 1;
    const position = toCursor({ seq: row.seq, index: isLast ? WHOLE_ROW : index + 1 });
    const { partition } = row;
    changes.push({
      key: key as Key,
      incarnation,
      version,
      deleted: deleted === 1,
      at,
      partition,
      position,
    });
  });
}

/** Numbers of rows, and of changes in a row, each of a fixed width, so that positions sort as strings. */
function toCursor({ seq, index }: Position): string {
  return `${toPosition(seq)}.${String(index).padStart(5, "0")}`;
}

function parseCursor(cursor: Cursor): readonly Position[] {
  if (cursor.length !== PARTITIONS) throw expired();
  return cursor.map((text) => {
    if (text === "") return BEGINNING;
    const [seq = "", index = ""] = text.split(".");
    const position = { seq: fromPosition(seq), index: Number(index) };
    if (!Number.isSafeInteger(position.seq) || !/^\d{5}$/.test(index)) throw expired();
    return position;
  });
}

/** The same position, where the feed still reaches back to it; one from another store's feed may not. */
function startOf(position: Position, state: PartitionState | undefined): Position {
  const trimmedTo = state?.trimmedTo ?? 0;
  const needed = position.index === WHOLE_ROW ? position.seq : position.seq - 1;
  if (needed < trimmedTo || position.seq > (state?.seq ?? 0)) throw expired();
  return position;
}

function expired(): StateError {
  return new StateError(
    "cursor_expired",
    "The feed no longer reaches back to this position. List the keys again, then follow from now.",
  );
}
