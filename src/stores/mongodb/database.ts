import {
  Long,
  type ClientSession,
  type Db,
  type Document,
  type MongoClient,
  type Timestamp,
} from "mongodb";
import { DeadlineError, isTransient } from "./classify.ts";
import { settleWithin, type Deadline } from "./deadline.ts";
import type { Elections } from "./elections.ts";
import type { Journal, Shown } from "./journal.ts";
import type { Collections } from "./schema.ts";
import { SegmentIds } from "./segment-ids.ts";

/** What every write asks for: on the disks of a majority before it is acknowledged. */
export const DURABLE = { w: "majority", j: true } as const;

/** What every read asks for: nothing that could still be rolled back. */
export const MAJORITY = { level: "majority" } as const;

/** The first wait before a command is tried again; doubled from then on. */
const RETRY_DELAY_MS = 20;
const RETRY_DELAY_MS_MAX = 250;

/** The part of a call's time that one attempt may take, so that another can follow it. */
const ATTEMPT_SHARE = 0.6;

/** Documents of one reply; most answers fit one. */
const BATCH_SIZE = 10_000;

export interface ReadOptions {
  /** Undefined where the pipeline brings its own documents. */
  readonly collection?: string;
  readonly session?: ClientSession | undefined;
  readonly deadline: Deadline;
  /** Of a `find` without a session: what had been written by this time is seen in any case. */
  readonly after?: Timestamp | undefined;
}

/** MongoDB as the rest of the store sees it: commands with a deadline. */
export class Database {
  readonly client: MongoClient;
  readonly names: Collections;
  /** Of what this store writes. */
  readonly ids = new SegmentIds();
  readonly #db: Db;
  readonly #timeoutMs: number;
  /** Those that no call has at the moment. */
  readonly #sessions: ClientSession[] = [];
  /** Of a standalone server alone. */
  journal: Journal | undefined;
  /** Of a replica set alone. */
  elections: Elections | undefined;

  constructor(client: MongoClient, database: string, names: Collections, timeoutMs: number) {
    this.client = client;
    this.names = names;
    this.#db = client.db(database);
    this.#timeoutMs = timeoutMs;
  }

  /** Sends a command once. */
  async command(command: Document, deadline: Deadline, session?: ClientSession): Promise<Document> {
    return this.#attempt(deadline, () =>
      session === undefined
        ? this.#withSession((own) => this.#db.command(command, { session: own }))
        : this.#db.command(command, { session }),
    );
  }

  /** Asks the server about itself. */
  async admin(command: Document, deadline: Deadline): Promise<Document> {
    return this.#attempt(deadline, () => this.client.db("admin").command(command));
  }

  /** Reads with a command, and tries again while MongoDB changes its primary or comes back. */
  async read(command: Document, deadline: Deadline): Promise<Document> {
    return this.steadily(deadline, () => this.command(command, deadline));
  }

  /** Tries again while MongoDB changes its primary or comes back; all of a try meets one primary. */
  async steadily<T>(deadline: Deadline, call: () => Promise<T>): Promise<T> {
    const { elections } = this;
    return retryTransient(deadline, () =>
      elections === undefined ? call() : elections.read(call, deadline),
    );
  }

  /** Makes sure that no crash can take back what is about to be shown. */
  async readKept<T>(
    deadline: Deadline,
    call: () => Promise<T>,
    shownBy: (result: T) => Shown,
  ): Promise<T> {
    const { journal } = this;
    return journal === undefined ? call() : journal.read(call, shownBy, deadline);
  }

  /** Reads with `find`: what a majority has, or the snapshot of a transaction. */
  async find(command: Document, { session, deadline, after }: ReadOptions): Promise<Document> {
    if (session !== undefined) return this.command(command, deadline, session);
    const readConcern = after === undefined ? MAJORITY : { ...MAJORITY, afterClusterTime: after };
    return this.read({ ...command, readConcern }, deadline);
  }

  /**
   * As `read`, for an answer that may be larger than one reply of 16 MiB. The driver's own cursors
   * would cost as much again for each document as all else on this side.
   */
  async aggregate<T extends Document>(
    pipeline: Document[],
    { collection, session, deadline }: ReadOptions,
  ): Promise<T[]> {
    const aggregate = { aggregate: collection ?? 1, pipeline, cursor: { batchSize: BATCH_SIZE } };
    // A failure inside a transaction is the whole transaction's, and tried again by it.
    if (session !== undefined) return this.#readAll<T>(aggregate, session, deadline);
    const command = { ...aggregate, readConcern: MAJORITY };
    // A cursor belongs to the session that has opened it.
    return this.steadily(deadline, () =>
      this.#withSession((own) => this.#readAll<T>(command, own, deadline)),
    );
  }

  async #readAll<T>(command: Document, session: ClientSession, deadline: Deadline): Promise<T[]> {
    let reply = (await this.command(command, deadline, session)) as CursorReply<T>;
    const found = [...(reply.cursor.firstBatch ?? [])];
    while (Long.fromValue(reply.cursor.id).notEquals(0)) {
      const { id, ns } = reply.cursor;
      const getMore = Long.fromValue(id);
      const collection = ns.slice(ns.indexOf(".") + 1);
      reply = (await this.command(
        { getMore, collection, batchSize: BATCH_SIZE },
        deadline,
        session,
      )) as CursorReply<T>;
      found.push(...(reply.cursor.nextBatch ?? []));
    }
    return found;
  }

  get db(): Db {
    return this.#db;
  }

  /**
   * Lends a session to one call at a time. Left to itself, the driver makes and ends one for each
   * command, for a fifth of what the command costs on this side.
   */
  async #withSession<T>(call: (session: ClientSession) => Promise<T>): Promise<T> {
    const session = this.#sessions.pop() ?? this.client.startSession({ causalConsistency: false });
    try {
      const result = await call(session);
      // Behind a load balancer a session keeps the connection that it was first used with.
      if (this.client.options.loadBalanced) await session.endSession();
      else this.#sessions.push(session);
      return result;
    } catch (error) {
      await session.endSession();
      throw error;
    }
  }

  async #attempt<T>(deadline: Deadline, call: () => Promise<T>): Promise<T> {
    const ms = Math.min(deadline.remainingMs(), Math.ceil(this.#timeoutMs * ATTEMPT_SHARE));
    if (ms <= 0) throw new DeadlineError("No time was left to ask MongoDB.");
    return settleWithin(ms, call);
  }
}

interface CursorReply<T> {
  readonly cursor: {
    /** 0 where there is no more. */
    readonly id: Long | number;
    readonly ns: string;
    readonly firstBatch?: readonly T[];
    readonly nextBatch?: readonly T[];
  };
}

/** The documents of a reply to `find` or `aggregate` that fits one batch. */
export function firstBatch<T>(reply: Document): readonly T[] {
  return (reply as { readonly cursor: { readonly firstBatch: readonly T[] } }).cursor.firstBatch;
}

/** One refused document of an unordered insert. */
export interface WriteError {
  readonly index: number;
  readonly code: number;
}

export function writeErrors(reply: Document): readonly WriteError[] {
  return (reply as { readonly writeErrors?: readonly WriteError[] }).writeErrors ?? [];
}

/** The delay before each attempt after the first. */
export function retryDelayMs(attempt: number): number {
  return Math.min(RETRY_DELAY_MS * 2 ** attempt, RETRY_DELAY_MS_MAX);
}

export async function retryTransient<T>(deadline: Deadline, call: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      const again = isTransient(error) || error instanceof DeadlineError;
      if (!again || deadline.isOver()) throw error;
      await deadline.pause(retryDelayMs(attempt));
    }
  }
}
