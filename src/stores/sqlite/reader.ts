import type { DatabaseSync } from "node:sqlite";

import type { Key } from "../../key.ts";
import type { EntryInfo, HistoryPage, KeyInfo, KeysPage, Query, ReadResult } from "../../store.ts";
import { openReader } from "./connection.ts";
import {
  INFO_COLUMNS,
  asRow,
  asRows,
  toEntry,
  toInfo,
  type InfoRow,
  type EntryRow,
} from "./rows.ts";

type KeyRow = readonly [...InfoRow, key: Key];
type HeadRow = readonly [id: number, firstVersion: number, version: number, createdAt: number];

export type ChangeRow = readonly [
  sequence: number,
  key: Key,
  incarnation: string,
  version: number,
  deleted: number,
  at: number,
];

/** A page of the feed, and where the feed begins and ends. */
export interface FeedPage {
  readonly rows: readonly ChangeRow[];
  /** The last sequence number that was trimmed. */
  readonly trimmed: number;
  /** The last sequence number given. */
  readonly last: number;
}

/**
 * All reads, on a connection of their own that waits for no writer. They run on the calling thread:
 * most take microseconds, less than a message to another thread.
 */
export class Reader {
  readonly #db: DatabaseSync;
  readonly #sql: ReturnType<typeof prepareStatements>;

  constructor(file: string) {
    this.#db = openReader(file);
    this.#sql = prepareStatements(this.#db);
  }

  close(): void {
    this.#db.close();
  }

  /** All results are of one moment. */
  read(queries: readonly Query[]): readonly ReadResult[] {
    const [first] = queries;
    // The latest version is one statement, which needs no transaction to be of one moment.
    if (queries.length === 1 && first?.select === "latest") return [this.#find(first)];
    return this.#atOneMoment(() => queries.map((query) => this.#find(query)));
  }

  #find({ key, select, value }: Query): ReadResult {
    if (select === "latest") {
      const statement = value ? this.#sql.latest : this.#sql.latestInfo;
      const row = asRow<EntryRow>(statement.get(key));
      return row && toEntry(row);
    }
    const version = "version" in select ? select.version : this.#versionAsOf(key, select.asOf);
    const statement = value ? this.#sql.version : this.#sql.versionInfo;
    const row = asRow<EntryRow>(statement.get(key, version));
    if (row !== undefined) return toEntry(row);
    return this.#isTrimmed(key, version) ? "trimmed" : undefined;
  }

  #isTrimmed(key: Key, version: number): boolean {
    const [, firstVersion = 0] = asRow<HeadRow>(this.#sql.head.get(key)) ?? [];
    return Number.isInteger(version) && version >= 1 && version < firstVersion;
  }

  /**
   * The last version made at or before a moment, by halving: times do not decrease along a history.
   * Below the first kept version it is the one before that, 0 where there is none.
   */
  #versionAsOf(key: Key, asOf: number): number {
    const head = asRow<HeadRow>(this.#sql.head.get(key));
    if (head === undefined) return 0;
    const [id, firstVersion, version, createdAt] = head;
    if (createdAt <= asOf) return version;
    let low = firstVersion - 1;
    let high = version;
    // `low` was made in time, or is not kept; `high` was made too late.
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      const [madeAt = Infinity] = asRow<[number]>(this.#sql.createdAt.get(id, middle)) ?? [];
      if (madeAt <= asOf) low = middle;
      else high = middle;
    }
    return low;
  }

  history(key: Key, page: HistoryPage): readonly EntryInfo[] {
    const rows =
      page.order === "newest-first"
        ? asRows<InfoRow>(this.#sql.newestFirst.all(key, page.before ?? Infinity, page.limit))
        : asRows<InfoRow>(this.#sql.oldestFirst.all(key, page.after, page.limit));
    return rows.map(toInfo);
  }

  keys({ from, to, limit }: KeysPage): readonly KeyInfo[] {
    const rows =
      to === undefined
        ? asRows<KeyRow>(this.#sql.keysFrom.all(from, limit))
        : asRows<KeyRow>(this.#sql.keysBetween.all(from, to, limit));
    return rows.map((row) => ({ key: row[8], ...toInfo(row) }));
  }

  /** The changes after a sequence number. */
  feed(after: number, limit: number): FeedPage {
    return this.#atOneMoment(() => {
      const [trimmed, last] = asRow<[number, number | null]>(this.#sql.feedBounds.get()) ?? [0, 0];
      const rows = asRows<ChangeRow>(this.#sql.changes.all(after, limit));
      return { rows, trimmed, last: last ?? 0 };
    });
  }

  /** A number that changes with every commit of any other connection, of whatever process. */
  dataVersion(): number {
    return asRow<[number]>(this.#sql.dataVersion.get())?.[0] ?? 0;
  }

  /** Whether housekeeping has anything to do, so that it takes no write lock for nothing. */
  needsMaintenance(now: number, feedRetentionMs: number): boolean {
    const [answer] = asRow<[number]>(this.#sql.needs.get(now, now - feedRetentionMs)) ?? [];
    return answer === 1;
  }

  #atOneMoment<Result>(work: () => Result): Result {
    this.#sql.begin.run();
    try {
      return work();
    } finally {
      this.#sql.commit.run();
    }
  }
}

function prepareStatements(db: DatabaseSync) {
  const latest = "FROM heads h JOIN versions v ON v.id = h.latest";
  const any = "FROM heads h JOIN versions v ON v.head_id = h.id";
  return {
    begin: db.prepare("BEGIN"),
    commit: db.prepare("COMMIT"),
    latest: db.prepare(`SELECT ${INFO_COLUMNS}, v.value ${latest} WHERE h.key = ?`),
    latestInfo: db.prepare(`SELECT ${INFO_COLUMNS} ${latest} WHERE h.key = ?`),
    head: db.prepare("SELECT id, first_version, version, created_at FROM heads WHERE key = ?"),
    version: db.prepare(`SELECT ${INFO_COLUMNS}, v.value ${any} WHERE h.key = ? AND v.version = ?`),
    versionInfo: db.prepare(`SELECT ${INFO_COLUMNS} ${any} WHERE h.key = ? AND v.version = ?`),
    createdAt: db.prepare("SELECT created_at FROM versions WHERE head_id = ? AND version = ?"),
    newestFirst: db.prepare(
      `SELECT ${INFO_COLUMNS} ${any} WHERE h.key = ? AND v.version < ?
       ORDER BY v.version DESC LIMIT ?`,
    ),
    oldestFirst: db.prepare(
      `SELECT ${INFO_COLUMNS} ${any} WHERE h.key = ? AND v.version > ?
       ORDER BY v.version LIMIT ?`,
    ),
    keysFrom: db.prepare(
      `SELECT ${INFO_COLUMNS}, h.key ${latest} WHERE h.key >= ? ORDER BY h.key LIMIT ?`,
    ),
    keysBetween: db.prepare(
      `SELECT ${INFO_COLUMNS}, h.key ${latest} WHERE h.key >= ? AND h.key < ?
       ORDER BY h.key LIMIT ?`,
    ),
    feedBounds: db.prepare("SELECT (SELECT trimmed FROM feed_start), (SELECT max(seq) FROM feed)"),
    changes: db.prepare(
      `SELECT seq, key, incarnation, version, deleted, at FROM feed
       WHERE seq > ? ORDER BY seq LIMIT ?`,
    ),
    dataVersion: db.prepare("PRAGMA data_version"),
    needs: db.prepare(
      `SELECT EXISTS (SELECT 1 FROM deleted)
         OR EXISTS (SELECT 1 FROM requests WHERE expires_at <= ?1)
         OR ifnull((SELECT coalesce(committed_at, at) FROM feed
                    WHERE seq > (SELECT trimmed FROM feed_start) ORDER BY seq LIMIT 1) < ?2, 0)`,
    ),
  };
}
