import type { ClientSession, Document, ObjectId } from "mongodb";
import type { Key } from "../../key.ts";
import type { Outcome, Transaction } from "../../store.ts";
import type { Clock } from "../../telemetry/clock.ts";
import { committed, keysOf, plan, type Heads, type Planned } from "../shared/plan.ts";
import { classify, DeadlineError, isTransient, isUnsureCommit, RefusedError } from "./classify.ts";
import { DURABLE, firstBatch, retryDelayMs, writeErrors, type Database } from "./database.ts";
import { settleWithin, type Deadline } from "./deadline.ts";
import { NO_STATE, type KeyState, type SegmentDocument } from "./documents.ts";
import { recordOf, toHead, withReads } from "./key-work.ts";
import { findRequests, insertRequests, replayOf } from "./requests.ts";
import { guardDocument, SegmentBuilder } from "./segments.ts";
import type { StateCache } from "./state-cache.ts";
import {
  isClaimed,
  latestEntry,
  readFloors,
  readHeads,
  takeBackUpdates,
  toState,
  type HeadDocument,
} from "./states.ts";

/** An attempt whose commit was not confirmed: it may have taken place. */
interface UnsureAttempt {
  readonly ids: readonly ObjectId[];
  readonly outcome: Outcome;
}

/**
 * Commits transactions over several keys, each as one transaction of MongoDB: it reads from one
 * snapshot, and writes or takes for a moment a place in the log of every key that it depends on, so
 * that it conflicts with every write to any of them.
 */
export class Transactor {
  readonly #database: Database;
  readonly #cache: StateCache;
  readonly #clock: Clock;

  constructor(database: Database, cache: StateCache, clock: Clock) {
    this.#database = database;
    this.#cache = cache;
    this.#clock = clock;
  }

  async run(transaction: Transaction, deadline: Deadline): Promise<Outcome> {
    const unsure: UnsureAttempt[] = [];
    for (let attempt = 0; ; attempt += 1) {
      const session = this.#database.client.startSession({ causalConsistency: false });
      try {
        const now = this.#clock.now();
        return await new Attempt(this.#database, session, deadline).run(transaction, unsure, now);
      } catch (error) {
        const again = isTransient(error) || error instanceof DeadlineError;
        if (!again || deadline.isOver()) {
          const applied = unsure.length > 0 ? "unknown" : "no";
          return { outcome: "failed", error: classify(error, applied) };
        }
        await deadline.pause(retryDelayMs(Math.min(attempt, 2)));
      } finally {
        for (const key of keysOf(transaction)) this.#cache.forget(key);
        // Rolls back what is still open. Where this never arrives, MongoDB does so in its own time.
        session.endSession().catch(() => {});
      }
    }
  }
}

type PlannedCommit = Extract<Planned, { outcome: "committed" }>;

/** One MongoDB transaction. */
class Attempt {
  readonly #database: Database;
  readonly #session: ClientSession;
  readonly #deadline: Deadline;

  constructor(database: Database, session: ClientSession, deadline: Deadline) {
    this.#database = database;
    this.#session = session;
    this.#deadline = deadline;
  }

  async run(transaction: Transaction, unsure: UnsureAttempt[], now: number): Promise<Outcome> {
    this.#session.startTransaction({
      readConcern: { level: "snapshot" },
      writeConcern: DURABLE,
      readPreference: "primary",
    });
    const before = await this.#findCommitted(unsure);
    if (before !== undefined) return before;

    const keys = [...new Set(keysOf(transaction))].toSorted();
    const heads = await this.#readHeads(keys, transaction);
    const at = { deadline: this.#deadline, session: this.#session };
    const found = await findRequests(this.#database, [transaction], now, at);
    const reads = transaction.reads.map((key) => {
      const head = heads.get(key);
      return head && latestEntry(head);
    });
    const replay = replayOf(transaction.request, found);
    if (replay !== undefined) return this.#commit(withReads(replay, reads), [], unsure);

    const states = new Map<Key, KeyState>();
    for (const key of keys) {
      const head = heads.get(key);
      states.set(key, head === undefined ? NO_STATE : toState(head));
    }
    const planned = plan(transaction, await this.#planHeads(transaction, states), now);
    if (planned.outcome === "conflict") return this.#commit(planned, [], unsure);
    const ids = await this.#write(transaction, planned, { states, heads, now });
    return this.#commit(committed(planned, reads), ids, unsure);
  }

  /** Looks for what earlier attempts wrote: all of it is there, or nothing. */
  async #findCommitted(unsure: readonly UnsureAttempt[]): Promise<Outcome | undefined> {
    if (unsure.length === 0) return undefined;
    const ids = unsure.flatMap((attempt) => attempt.ids);
    const reply = await this.#send({
      find: this.#database.names.segments,
      filter: { _id: { $in: ids } },
      projection: { _id: 1 },
    });
    const [first] = firstBatch<{ readonly _id: ObjectId }>(reply);
    if (first === undefined) return undefined;
    const attempt = unsure.find((one) => one.ids.some((id) => id.equals(first._id)));
    // The commit makes sure that a majority has what was found.
    return attempt && this.#commit(attempt.outcome, [], []);
  }

  async #readHeads(
    keys: readonly Key[],
    transaction: Transaction,
  ): Promise<Map<string, HeadDocument>> {
    const at = { deadline: this.#deadline, session: this.#session };
    const withValues = new Set(transaction.reads);
    const without = keys.filter((key) => !withValues.has(key));
    const heads = await readHeads(this.#database, [...withValues], true, at);
    for (const [key, head] of await readHeads(this.#database, without, false, at)) {
      heads.set(key, head);
    }
    return heads;
  }

  async #planHeads(transaction: Transaction, states: Map<Key, KeyState>): Promise<Heads> {
    const anchors = transaction.deletes.flatMap((key) => {
      const live = states.get(key)?.live;
      return live === undefined ? [] : [{ key, live }];
    });
    const floors = await readFloors(this.#database, anchors, {
      deadline: this.#deadline,
      session: this.#session,
    });
    const heads: Heads = new Map();
    for (const [key, state] of states) heads.set(key, toHead({ state, floor: floors.get(key) }));
    return heads;
  }

  /** Answers the ids of the segments that were written. */
  async #write(
    transaction: Transaction,
    planned: PlannedCommit,
    basis: {
      readonly states: ReadonlyMap<Key, KeyState>;
      readonly heads: ReadonlyMap<string, HeadDocument>;
      readonly now: number;
    },
  ): Promise<readonly ObjectId[]> {
    const request = recordOf(transaction, planned, basis.now);
    if (request !== undefined) await this.#insert(insertRequests(this.#database, [request]));
    if (planned.writes.length === 0) return [];

    const written: SegmentDocument[] = [];
    const guards: SegmentDocument[] = [];
    const writes = new Map(
      planned.writes.map((write) => [write.kind === "put" ? write.put.key : write.key, write]),
    );
    for (const [key, state] of basis.states) {
      const write = writes.get(key);
      if (write === undefined) {
        guards.push(guardDocument(key, state, this.#database.ids));
      } else {
        const builder = new SegmentBuilder(key, state, this.#database.ids);
        builder.write(write);
        written.push(...builder.finish().segments.map((segment) => segment.document));
      }
    }
    const { segments } = this.#database.names;
    const claimed = [...basis.heads.values()].filter(isClaimed);
    if (claimed.length > 0) {
      await this.#send({ update: segments, updates: takeBackUpdates(claimed), ordered: true });
    }
    await this.#insert({ insert: segments, documents: [...written, ...guards], ordered: true });
    if (guards.length > 0) {
      // The place is free again once the transaction is over; until then nobody else can have it.
      const q = { _id: { $in: guards.map((guard) => guard._id) } };
      await this.#send({ delete: segments, deletes: [{ q, limit: 0 }] });
    }
    return written.map((document) => document._id);
  }

  async #commit(
    outcome: Outcome,
    ids: readonly ObjectId[],
    unsure: UnsureAttempt[],
  ): Promise<Outcome> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const ms = Math.max(1, this.#deadline.remainingMs());
        await settleWithin(ms, () => this.#session.commitTransaction());
        return outcome;
      } catch (error) {
        // Asking again is safe: MongoDB knows the transaction by its number.
        if (isUnsureCommit(error) && !this.#deadline.isOver()) {
          await this.#deadline.pause(retryDelayMs(attempt));
          continue;
        }
        if (ids.length > 0) unsure.push({ ids, outcome });
        throw error;
      }
    }
  }

  async #insert(command: Document): Promise<void> {
    const [refused] = writeErrors(await this.#send(command));
    if (refused !== undefined) throw new RefusedError(refused.code);
  }

  async #send(command: Document): Promise<Document> {
    return this.#database.command(command, this.#deadline, this.#session);
  }
}
