import type { DatabaseSync } from "node:sqlite";

import type { TrimRange } from "./protocol.ts";
import { asRow, asRows } from "./rows.ts";

/** What one step removes at most, so that it holds the write lock for a few milliseconds. */
const SWEEP_ROWS = 512;
const SWEEP_BYTES = 1024 * 1024;
const FEED_ROWS = 512;
const REQUEST_ROWS = 256;

type HeadRow = readonly [id: number, incarnation: string, firstVersion: number, version: number];

/** Removes what is no longer needed. It runs inside a write transaction that its caller commits. */
export class Maintenance {
  readonly #sql: ReturnType<typeof prepareStatements>;

  constructor(db: DatabaseSync) {
    this.#sql = prepareStatements(db);
  }

  /** See `Store.trim`. */
  trim({ key, incarnation, keepFrom, limit }: TrimRange): number {
    const head = asRow<HeadRow>(this.#sql.head.get(key));
    if (head === undefined) return 0;
    const [id, current, firstVersion, version] = head;
    if (current !== incarnation) return 0;
    const count = Math.min(limit, Math.min(keepFrom, version) - firstVersion);
    if (count <= 0) return 0;
    this.#sql.raiseFirst.run(firstVersion + count, key);
    this.#sql.deleteVersions.run(id, firstVersion + count - 1);
    return count;
  }

  /** One small step of each kind of housekeeping. Answers how many kinds have more to do. */
  step(now: number, feedRetentionMs: number): number {
    const hasMore = [
      this.#sweep(),
      this.#forgetRequests(now),
      this.#trimFeed(now - feedRetentionMs),
    ];
    return hasMore.filter(Boolean).length;
  }

  /** Clears what deleted keys have left behind. */
  #sweep(): boolean {
    let rows = SWEEP_ROWS;
    let bytes = SWEEP_BYTES;
    while (rows > 0 && bytes > 0) {
      const [id] = asRow<[number]>(this.#sql.nextDeleted.get()) ?? [];
      if (id === undefined) return false;
      let last = 0;
      let isDone = true;
      for (const [version, size] of asRows<[number, number]>(this.#sql.sizes.all(id, rows + 1))) {
        // At least one goes, whatever its size.
        if (rows === 0 || bytes <= 0) {
          isDone = false;
          break;
        }
        last = version;
        rows -= 1;
        bytes -= size;
      }
      this.#sql.deleteVersions.run(id, last);
      // A key with few versions costs a little as well.
      if (isDone) rows -= Number(this.#sql.sweptDeleted.run(id).changes);
    }
    return true;
  }

  #forgetRequests(now: number): boolean {
    return Number(this.#sql.forgetRequests.run(now, REQUEST_ROWS).changes) === REQUEST_ROWS;
  }

  /** Removes the changes before a moment, but keeps the row that has the last number given. */
  #trimFeed(before: number): boolean {
    const rows = asRows<[number, number]>(this.#sql.oldestChanges.all(FEED_ROWS));
    const kept = rows.findIndex(([, committedAt]) => committedAt >= before);
    const trimmed = rows.at(kept === -1 ? -1 : kept - 1)?.[0];
    if (kept === 0 || trimmed === undefined) return false;
    this.#sql.raiseTrimmed.run(trimmed);
    this.#sql.deleteChanges.run(trimmed);
    return kept === -1 && rows.length === FEED_ROWS;
  }
}

function prepareStatements(db: DatabaseSync) {
  return {
    head: db.prepare("SELECT id, incarnation, first_version, version FROM heads WHERE key = ?"),
    raiseFirst: db.prepare("UPDATE heads SET first_version = ? WHERE key = ?"),
    deleteVersions: db.prepare("DELETE FROM versions WHERE head_id = ? AND version <= ?"),
    nextDeleted: db.prepare("SELECT head_id FROM deleted ORDER BY head_id LIMIT 1"),
    sizes: db.prepare(
      "SELECT version, size FROM versions WHERE head_id = ? ORDER BY version LIMIT ?",
    ),
    sweptDeleted: db.prepare("DELETE FROM deleted WHERE head_id = ?"),
    forgetRequests: db.prepare(
      `DELETE FROM requests WHERE id IN
         (SELECT id FROM requests WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
    ),
    oldestChanges: db.prepare(
      `SELECT seq, coalesce(committed_at, at) FROM feed
       WHERE seq > (SELECT trimmed FROM feed_start) ORDER BY seq LIMIT ?`,
    ),
    raiseTrimmed: db.prepare("UPDATE feed_start SET trimmed = ?"),
    deleteChanges: db.prepare(
      "DELETE FROM feed WHERE seq <= ? AND seq < (SELECT max(seq) FROM feed)",
    ),
  };
}
