import { Calls } from "../../calls.ts";
import type { Applied } from "../../errors.ts";
import type { Clock } from "../../telemetry/clock.ts";
import { closedError } from "../shared/closed.ts";
import { classify, ConnectError, isRetryable } from "./classify.ts";
import type { FailureLog } from "../shared/failure-log.ts";
import type { Pool } from "./pool.ts";
import type { Session } from "./session.ts";
import { SweepPace } from "./sweep-pace.ts";
import type { Tables } from "./sql.ts";

/** A read that lost its connection is simply asked again, as often as this. */
const READ_ATTEMPTS_MAX = 3;

export interface DatabaseOptions {
  readonly tables: Tables;
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Apart from each other, so that writes waiting for locks never hold up reads. */
  readonly readers: Pool;
  readonly writers: Pool;
  readonly maxPacketBytes: number;
  readonly isGalera: boolean;
  readonly failures: FailureLog;
  /** Milliseconds since 1970 on the database's own clock, which all processes share. */
  readonly serverTime: () => number;
}

/** What every part of the store works with: the connections, and the frame around each call. */
export class Database {
  readonly options: DatabaseOptions;
  readonly tables: Tables;
  readonly clock: Clock;
  /** Learned from every step of housekeeping. */
  readonly pace = new SweepPace();
  readonly #closing = new AbortController();
  readonly #calls = new Calls();

  constructor(options: DatabaseOptions) {
    this.options = options;
    this.tables = options.tables;
    this.clock = options.clock;
  }

  /** Aborts when the store is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Runs a call of the contract: with a deadline, refused once closed, its failure translated. */
  async call<T>(work: (deadline: number) => Promise<T>): Promise<T> {
    this.assertOpen();
    const deadline = this.clock.monotonic() + this.options.timeoutMs;
    try {
      const result = await this.#calls.run(() => work(deadline));
      this.options.failures.succeeded();
      return result;
    } catch (error) {
      throw this.fail(error, "no", deadline);
    }
  }

  /** Translates and logs a failure. */
  fail(error: unknown, applied: Applied, deadline: number): Error {
    if (this.clock.monotonic() >= deadline) {
      this.options.readers.dropIdle();
      this.options.writers.dropIdle();
    }
    const failure = classify(error, applied);
    this.options.failures.failed(failure);
    return failure;
  }

  /** A call that reads. */
  read<T>(work: (session: Session, deadline: number) => Promise<T>): Promise<T> {
    return this.call((deadline) => this.readBy(deadline, (session) => work(session, deadline)));
  }

  /** Reads within a call, and again where the connection turns out to be dead. */
  async readBy<T>(deadline: number, work: (session: Session) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.options.readers.use(deadline, work);
      } catch (error) {
        const isLast = attempt === READ_ATTEMPTS_MAX || this.clock.monotonic() >= deadline;
        if (isLast || error instanceof ConnectError || !isRetryable(error)) throw error;
      }
    }
  }

  /** Runs small statements that may be run twice without harm: housekeeping. */
  write<T>(work: (session: Session, deadline: number) => Promise<T>): Promise<T> {
    return this.call((deadline) =>
      this.options.writers.use(deadline, (session) =>
        inTransaction(session, deadline, () => work(session, deadline)),
      ),
    );
  }

  assertOpen(): void {
    if (this.#closing.signal.aborted) throw closedError();
  }

  /** Waits for calls under way, then closes every connection. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#calls.idle();
    await Promise.all([this.options.readers.close(), this.options.writers.close()]);
  }
}

/** Gives the connection back without an open transaction, whatever `work` does. */
export async function inTransaction<T>(
  session: Session,
  deadline: number,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // A connection that can't even roll back ends, and the server then does it.
    if (!session.ended) await session.run(["ROLLBACK"], deadline).catch(() => session.destroy());
    throw error;
  }
}
