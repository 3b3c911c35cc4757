import { randomInt, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { StateError } from "../../errors.ts";
import type { Key } from "../../key.ts";
import { COMMIT_RESEND_MS_MAX } from "../../limits.ts";
import type { Entry, Outcome, Transaction } from "../../store.ts";
import type { Heads } from "../shared/plan.ts";
import {
  isPutsOnly,
  isReadOnly,
  keysOfBatch,
  needsHeldAbsence,
  planBatch,
  tellsOfWrites,
  type BatchPlan,
} from "./batch.ts";
import {
  ConnectError,
  isDuplicate,
  isOvertaken,
  isRetryable,
  mayHaveCommitted,
} from "./classify.ts";
import { inTransaction, type Database } from "./database.ts";
import { GuessRecord } from "./guess-record.ts";
import type { Guess, LatestCache } from "./latest-cache.ts";
import { commitIdStatement, forgetRequests, lockBatch, type LockedState } from "./lock.ts";
import type { DeletedLife } from "./sweep.ts";
import { latestStatement, toLatestRow } from "./read-statements.ts";
import { toNumber } from "./rows.ts";
import type { Session } from "./session.ts";
import { PACKET_OVERHEAD_BYTES } from "./settings.ts";
import { compareRowCount, hexLiteral, keyList } from "./sql.ts";
import { keyOfWrite, toPackets, writeStatements, type Statement } from "./write-statements.ts";

/**
 * Attempts at one batch that others keep getting in the way of. Where ten connections put and delete the
 * same few keys in batches, one attempt in three is lost to a deadlock, whichever attempt it is.
 */
const ATTEMPTS_MAX = 30;

/** Attempts that follow at once on those that others were faster than. */
const PROMPT_ATTEMPTS_MAX = 4;

/** Longest wait before another attempt, in milliseconds; the wait is random, so that rivals part. */
const RETRY_WAIT_MS = 20;

/** The same, while the database is away. */
const RECONNECT_WAIT_MS = 150;

const BEGIN: readonly string[] = ["START TRANSACTION"];
/** Beginning a transaction commits one that is still open, so that one has to be ended first. */
const BEGIN_ANEW: readonly string[] = ["ROLLBACK", ...BEGIN];

/** One batch on its way, over all its attempts. */
interface Job {
  readonly transactions: readonly Transaction[];
  readonly keys: readonly Key[];
  /** The same for every attempt: the database takes it once. Drawn on the first connection. */
  id: string;
  readonly deadline: number;
  /** Whether guesses of its heads would do. */
  readonly canGuess: boolean;
  /** How many have begun. */
  attempts: number;
  /** What attempts would have answered whose COMMIT was sent and never answered, by attempt. */
  readonly unanswered: Map<number, BatchPlan>;
}

export interface CommitParts {
  readonly database: Database;
  readonly cache: LatestCache;
  /** Called after each commit that wrote something. */
  readonly ring: () => void;
  /** Clears some of what a delete has left of one incarnation; answers whether there is more. */
  readonly clear: (session: Session, deleted: DeletedLife, deadline: number) => Promise<boolean>;
}

/**
 * Commits batches. A batch whose heads are all known is sent in one packet, from BEGIN to COMMIT, which
 * fails where a head is not as it was thought to be. Any other batch, and that one then, locks its
 * heads first. Both leave the batch's id in the database, so an attempt whose answer was lost can be
 * repeated without ever being applied twice.
 */
export class Committer {
  readonly #parts: CommitParts;
  readonly #guesses = new GuessRecord();

  constructor(parts: CommitParts) {
    this.#parts = parts;
  }

  async commit(
    transactions: readonly Transaction[],
    deadline: number,
  ): Promise<readonly Outcome[]> {
    if (transactions.every(isReadOnly)) return this.#readOnly(transactions, deadline);
    const { clock } = this.#parts.database;
    const job: Job = {
      transactions,
      keys: keysOfBatch(transactions),
      id: "",
      deadline: Math.min(deadline, clock.monotonic() + COMMIT_RESEND_MS_MAX),
      canGuess: transactions.every(isPutsOnly),
      attempts: 0,
      unanswered: new Map(),
    };
    for (;;) {
      try {
        return await this.#attempt(job);
      } catch (error) {
        this.#parts.cache.forget(job.keys);
        if (!this.#isWorthAnother(job, error)) {
          throw this.#parts.database.fail(
            error,
            job.unanswered.size > 0 ? "unknown" : "no",
            job.deadline,
          );
        }
        // Whoever was faster has committed, so nobody need be waited for.
        if (isOvertaken(error) && job.attempts < PROMPT_ATTEMPTS_MAX) continue;
        const isAway = error instanceof ConnectError;
        await sleep(randomInt(1, isAway ? RECONNECT_WAIT_MS : RETRY_WAIT_MS));
      }
    }
  }

  #isWorthAnother(job: Job, error: unknown): boolean {
    if (this.#parts.database.clock.monotonic() >= job.deadline) return false;
    // To learn what became of a lost commit, a database that is away is waited for.
    if (error instanceof ConnectError) return job.unanswered.size > 0;
    return isRetryable(error) && (job.attempts < ATTEMPTS_MAX || job.unanswered.size > 0);
  }

  /**
   * Ids begin with the database's time, so that they are inserted in order and swept by age. The
   * clocks of our own machines may differ by more than an id is kept for.
   */
  #newId(): string {
    const time = Math.floor(this.#parts.database.options.serverTime());
    return time.toString(16).padStart(12, "0") + randomDigits();
  }

  #attempt(job: Job): Promise<readonly Outcome[]> {
    const { database, cache } = this.#parts;
    return database.options.writers.use(job.deadline, (session) =>
      inTransaction(session, job.deadline, async () => {
        // Not before there is a connection, by which the database's time is known.
        if (job.id === "") job.id = this.#newId();
        const canGuess = job.canGuess && job.attempts === 0 && this.#guesses.areGood;
        const guess = canGuess ? cache.getAll(job.keys) : undefined;
        if (guess === undefined) return this.#locked(session, job, BEGIN);
        try {
          return await this.#guessed(session, job, guess);
        } catch (error) {
          if (!isOvertaken(error)) throw error;
        }
        return this.#locked(session, job, BEGIN_ANEW);
      }),
    );
  }

  /** One packet, on the strength of heads that this process remembers. */
  async #guessed(session: Session, job: Job, guess: Guess): Promise<readonly Outcome[]> {
    const { heads, stamps } = guess;
    const before = new Map(heads);
    const now = this.#parts.database.clock.now();
    const state = { heads, entries: new Map<Key, Entry>(), requests: new Map() };
    const plan = planBatch(job.transactions, state, now);
    // A conflict with what is only thought to be there proves nothing.
    const isSure = plan.outcomes.every(({ outcome }) => outcome === "committed");
    if (!isSure) return this.#locked(session, job, BEGIN);
    const { tables } = this.#parts.database;
    const attempt = nextAttempt(job);
    const writes = writeStatements(plan, {
      tables,
      before,
      stamps,
      after: heads,
      placeholders: [],
      now,
      stamp: stampOf(job),
      check: (affected) => commitIdStatement(tables, job.id, { number: attempt, affected }),
    });
    await this.#send(session, job, { attempt, plan, statements: [...BEGIN, ...writes] });
    this.#guesses.learn(true);
    this.#remember(job, heads, plan);
    return plan.outcomes;
  }

  /** Locks and reads, plans, and writes: two round trips. */
  async #locked(session: Session, job: Job, begin: readonly string[]): Promise<readonly Outcome[]> {
    const { database } = this.#parts;
    const attempt = nextAttempt(job);
    const { tables, clock } = database;
    const now = clock.now();
    let state: LockedState;
    try {
      state = await lockBatch(session, {
        transactions: job.transactions,
        tables,
        first: [...begin, commitIdStatement(tables, job.id, { number: attempt })],
        holdAbsent: attempt > 2 || job.transactions.some(needsHeldAbsence),
        now,
        deadline: job.deadline,
      });
    } catch (error) {
      // Nothing but the commit's id is inserted there: an earlier attempt was carried out after all.
      if (isDuplicate(error)) return this.#outcomeOf(session, job);
      throw error;
    }
    if (state.uncleared.length > 0) return this.#clearFirst(session, job, state);
    this.#compare(job, state.heads);
    const before = new Map(state.heads);
    const plan = planBatch(job.transactions, state, now);
    if (!tellsOfWrites(job.transactions, plan)) {
      await session.run(["ROLLBACK"], job.deadline);
      return plan.outcomes;
    }
    const { heads, placeholders } = state;
    const stamp = stampOf(job);
    const context = {
      tables,
      before,
      stamps: undefined,
      after: heads,
      placeholders,
      now,
      stamp,
      check: compareRowCount,
    };
    const statements = [
      ...forgetRequests(tables, state.expiredRequests),
      ...writeStatements(plan, context),
      ...this.#guardStatements(job, before, plan),
    ];
    await this.#send(session, job, { attempt, plan, statements });
    this.#remember(job, heads, plan);
    return plan.outcomes;
  }

  /**
   * Galera passes on what a transaction writes, and not what it has locked: two of them on two nodes, each
   * of which writes what the other one relies on, would both be committed. So all that is relied on
   * is written: a new stamp, which changes nothing for anybody.
   */
  #guardStatements(job: Job, before: Heads, plan: BatchPlan): readonly string[] {
    const { tables, options } = this.#parts.database;
    if (!options.isGalera) return [];
    const written = new Set(plan.writes.map(keyOfWrite));
    const guarded = job.keys.filter((key) => before.get(key) !== undefined && !written.has(key));
    if (guarded.length === 0) return [];
    this.#parts.cache.forget(guarded);
    return [
      `UPDATE ${tables.heads} SET stamp = ${hexLiteral(stampOf(job))} ` +
        `WHERE key_bytes IN (${keyList(guarded)})`,
    ];
  }

  /** Learns from heads that are locked whether guesses would have been right. */
  #compare(job: Job, heads: Heads): void {
    const { cache } = this.#parts;
    let isKnown = true;
    const wrong: Key[] = [];
    for (const key of job.keys) {
      const guess = cache.get(key)?.head;
      const head = heads.get(key);
      if (guess === undefined) isKnown = false;
      else if (guess.version !== head?.version || guess.incarnation !== head.incarnation) {
        wrong.push(key);
      }
    }
    cache.forget(wrong);
    if (!job.canGuess) return;
    if (wrong.length > 0) this.#guesses.learn(false);
    else if (isKnown) this.#guesses.learn(true);
  }

  /** From the moment the packet with COMMIT is sent, only its answer tells whether it was carried out. */
  async #send(
    session: Session,
    job: Job,
    step: {
      readonly attempt: number;
      readonly plan: BatchPlan;
      readonly statements: readonly Statement[];
    },
  ): Promise<void> {
    const maxChars = this.#parts.database.options.maxPacketBytes - PACKET_OVERHEAD_BYTES;
    const packets = toPackets([...step.statements, "COMMIT"], maxChars);
    const last = packets.pop() ?? [];
    for (const packet of packets) await runPacket(session, packet, job.deadline);
    job.unanswered.set(step.attempt, step.plan);
    try {
      await runPacket(session, last, job.deadline);
    } catch (error) {
      if (!mayHaveCommitted(error)) job.unanswered.delete(step.attempt);
      throw error;
    }
    if (step.plan.writes.length > 0) this.#parts.ring();
  }

  #remember(job: Job, heads: Heads, plan: BatchPlan): void {
    const { cache } = this.#parts;
    const stamp = stampOf(job);
    for (const write of plan.writes) {
      const key = keyOfWrite(write);
      const head = heads.get(key);
      if (head === undefined) cache.forget([key]);
      else if (write.kind === "put" && write.entry.version === head.version) {
        cache.set(key, { head, stamp, entry: { ...write.entry, value: write.put.value } });
      }
    }
  }

  /**
   * Finds which attempt the database took under this id. It may be seen before it is on disk; a commit of
   * our own, of an id that nobody waits for, is answered when all before it is.
   */
  async #outcomeOf(session: Session, job: Job): Promise<readonly Outcome[]> {
    const { tables } = this.#parts.database;
    const [, rows = []] = await session.run(
      [
        "ROLLBACK",
        `SELECT attempt FROM ${tables.commits} WHERE id = ${hexLiteral(job.id)}`,
        commitIdStatement(tables, this.#newId(), { number: 0 }),
      ],
      job.deadline,
    );
    const plan = job.unanswered.get(toNumber(rows[0]?.[0]));
    if (plan === undefined) throw new Error("the id of a commit was taken by another");
    this.#parts.ring();
    return plan.outcomes;
  }

  /** An imported incarnation may have been here before, and some of its versions still be. */
  async #clearFirst(session: Session, job: Job, state: LockedState): Promise<readonly Outcome[]> {
    await session.run(["ROLLBACK"], job.deadline);
    for (const life of state.uncleared) {
      while (await this.#parts.clear(session, life, job.deadline)) {
        if (this.#parts.database.clock.monotonic() >= job.deadline) {
          throw new StateError(
            "store_unavailable",
            "What an earlier delete left of this history is still being cleared. Try again.",
          );
        }
      }
    }
    return this.#locked(session, job, BEGIN);
  }

  /** One statement is one moment, so nothing need be locked. */
  #readOnly(transactions: readonly Transaction[], deadline: number): Promise<readonly Outcome[]> {
    const { database } = this.#parts;
    const keys = keysOfBatch(transactions);
    return database.readBy(deadline, async (session) => {
      const areRead = transactions.some(({ reads }) => reads.length > 0);
      const statements = keys.length > 0 ? [latestStatement(database.tables, keys, areRead)] : [];
      const rows = statements.length > 0 ? (await session.run(statements, deadline))[0] : [];
      const heads: Heads = new Map(keys.map((key) => [key, undefined]));
      const entries = new Map<Key, Entry>();
      for (const row of rows ?? []) {
        const { key, head, entry } = toLatestRow(row, areRead);
        heads.set(key, head);
        // The statement asked for values, where any is wanted.
        entries.set(key, entry as Entry);
      }
      const state = { heads, entries, requests: new Map() };
      return planBatch(transactions, state, database.clock.now()).outcomes;
    });
  }
}

function nextAttempt(job: Job): number {
  job.attempts += 1;
  return job.attempts;
}

/** 20 hexadecimal digits, all random: of a UUID, the fixed bits stand in the middle. */
function randomDigits(): string {
  const uuid = randomUUID();
  return uuid.slice(0, 8) + uuid.slice(-12);
}

/** Its part of random digits; another attempt at the same batch writes the same values. */
function stampOf({ id }: Job): string {
  return id.slice(-16);
}

async function runPacket(
  session: Session,
  packet: readonly Statement[],
  deadline: number,
): Promise<void> {
  const [first] = packet;
  if (typeof first === "object") await session.execute(first.sql, first.values, deadline);
  else await session.run(packet as readonly string[], deadline);
}
