import type { DatabaseSync } from "node:sqlite";

import type { Key } from "../../key.ts";
import { REQUEST_ID_TTL_MS } from "../../limits.ts";
import type { Committed, Entry, Outcome, RequestId, Transaction } from "../../store.ts";
import { committed, keysOf, plan, type Head, type Heads, type Write } from "../shared/plan.ts";
import { INFO_COLUMNS, asRow, toInfo, type InfoRow } from "./rows.ts";

type HeadRow = readonly [
  id: number,
  incarnation: string,
  firstVersion: number,
  version: number,
  createdAt: number,
];

type LatestRow = readonly [...InfoRow, value: Uint8Array];

type RequestRow = readonly [fingerprint: string, outcome: string];

/** What is remembered of a request: all of its outcome but the reads, which are made anew. */
type Remembered = Pick<Committed, "puts" | "deletes">;

type Statements = ReturnType<typeof prepareStatements>;

/** Applies batches of transactions. It runs inside a write transaction that its caller commits. */
export class Committer {
  readonly #statements: Statements;

  constructor(db: DatabaseSync) {
    this.#statements = prepareStatements(db);
  }

  /** Applies each transaction as if alone, in order. `now` is when the batch was asked for. */
  apply(transactions: readonly Transaction[], now: number): readonly Outcome[] {
    const batch = new Batch(this.#statements, now);
    const outcomes = transactions.map((transaction) => batch.apply(transaction));
    batch.writeHeads();
    return outcomes;
  }
}

function prepareStatements(db: DatabaseSync) {
  return {
    lastSequence: db.prepare("SELECT max(seq) FROM feed"),
    head: db.prepare(
      "SELECT id, incarnation, first_version, version, created_at FROM heads WHERE key = ?",
    ),
    latest: db.prepare(
      `SELECT ${INFO_COLUMNS}, v.value FROM heads h JOIN versions v ON v.id = h.latest
       WHERE h.key = ?`,
    ),
    writeHead: db.prepare(
      `INSERT INTO heads (key, id, incarnation, first_version, version, created_at, latest)
       VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (key) DO UPDATE SET id = excluded.id, incarnation = excluded.incarnation,
         first_version = excluded.first_version, version = excluded.version,
         created_at = excluded.created_at, latest = excluded.latest`,
    ),
    deleteHead: db.prepare("DELETE FROM heads WHERE key = ?"),
    leaveForSweep: db.prepare("INSERT INTO deleted VALUES (?)"),
    addVersion: db.prepare("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    addChange: db.prepare("INSERT INTO feed VALUES (?, ?, ?, ?, ?, ?, ?)"),
    request: db.prepare(
      "SELECT fingerprint, outcome FROM requests WHERE id = ? AND expires_at > ?",
    ),
    remember: db.prepare("INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?)"),
  };
}

/** One batch: the heads that it has read, moved on in memory, and written once each. */
class Batch {
  readonly #sql: Statements;
  readonly #now: number;
  readonly #heads: Heads = new Map();
  /** Ids of the heads that exist. */
  readonly #ids = new Map<Key, number>();
  /** Heads that differ from the file, with the row of their latest version. */
  readonly #changed = new Map<Key, number>();
  #sequence: number;

  constructor(statements: Statements, now: number) {
    this.#sql = statements;
    this.#now = now;
    const [last] = asRow<[number | null]>(statements.lastSequence.get()) ?? [null];
    this.#sequence = last ?? 0;
  }

  apply(transaction: Transaction): Outcome {
    const { request } = transaction;
    const reads = this.#read(transaction.reads);
    const remembered = request && asRow<RequestRow>(this.#sql.request.get(request.id, this.#now));
    if (remembered !== undefined) return replay(remembered, request, reads);

    for (const key of keysOf(transaction)) this.#loadHead(key);
    const planned = plan(transaction, this.#heads, this.#now);
    if (planned.outcome === "conflict") return planned;
    for (const write of planned.writes) this.#write(write);
    if (request !== undefined) {
      const { puts, deletes } = planned;
      const outcome = JSON.stringify({ puts, deletes } satisfies Remembered);
      const expiresAt = this.#now + REQUEST_ID_TTL_MS;
      this.#sql.remember.run(request.id, request.fingerprint, expiresAt, outcome);
    }
    return committed(planned, reads);
  }

  #loadHead(key: Key): void {
    if (this.#heads.has(key)) return;
    const row = asRow<HeadRow>(this.#sql.head.get(key));
    if (row === undefined) {
      this.#heads.set(key, undefined);
      return;
    }
    const [id, incarnation, firstVersion, version, createdAt] = row;
    this.#ids.set(key, id);
    this.#heads.set(key, { incarnation, version, createdAt, firstVersion });
  }

  #write(write: Write): void {
    this.#sequence += 1;
    if (write.kind === "delete") this.#delete(write.key, write.head, write.at);
    else this.#put(write);
  }

  #put({ put, entry }: Extract<Write, { kind: "put" }>): void {
    const sequence = this.#sequence;
    const headId = this.#ids.get(put.key) ?? sequence;
    this.#ids.set(put.key, headId);
    this.#changed.set(put.key, sequence);
    this.#sql.addVersion.run(
      sequence,
      headId,
      entry.version,
      entry.createdAt,
      entry.size,
      entry.digest,
      entry.contentType ?? null,
      entry.author ?? null,
      entry.message ?? null,
      put.value,
    );
    this.#announce(put.key, entry, 0, entry.createdAt);
  }

  #delete(key: Key, head: Head, at: number): void {
    const id = this.#ids.get(key);
    if (id === undefined) throw new Error("a head without an id is deleted");
    this.#sql.deleteHead.run(key);
    this.#sql.leaveForSweep.run(id);
    this.#ids.delete(key);
    this.#changed.delete(key);
    this.#announce(key, head, 1, at);
  }

  #announce(
    key: Key,
    { incarnation, version }: { readonly incarnation: string; readonly version: number },
    deleted: 0 | 1,
    at: number,
  ): void {
    const committedAt = at === this.#now ? null : this.#now;
    this.#sql.addChange.run(this.#sequence, key, incarnation, version, deleted, at, committedAt);
  }

  /** Reads the latest entries as the transactions before this one have left them. */
  #read(keys: readonly Key[]): readonly (Entry | undefined)[] {
    if (keys.length === 0) return [];
    this.writeHeads();
    return keys.map((key) => {
      const row = asRow<LatestRow>(this.#sql.latest.get(key));
      if (row === undefined) return undefined;
      return { ...toInfo(row), value: row[8] };
    });
  }

  /** Brings the heads in the file up to those in memory. */
  writeHeads(): void {
    for (const [key, latest] of this.#changed) {
      const head = this.#heads.get(key);
      const id = this.#ids.get(key);
      if (head === undefined || id === undefined) throw new Error("a changed head does not exist");
      const { incarnation, firstVersion, version, createdAt } = head;
      this.#sql.writeHead.run(key, id, incarnation, firstVersion, version, createdAt, latest);
    }
    this.#changed.clear();
  }
}

function replay(
  [fingerprint, outcome]: RequestRow,
  request: RequestId | undefined,
  reads: Committed["reads"],
): Outcome {
  if (fingerprint !== request?.fingerprint) return { outcome: "request-reused" };
  const { puts, deletes } = JSON.parse(outcome) as Remembered;
  return { outcome: "committed", replayed: true, puts, deletes, reads };
}
