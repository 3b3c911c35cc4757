import type { Clock } from "../../telemetry/clock.ts";
import { ConnectError } from "./classify.ts";
import type { Session } from "./session.ts";

export interface PoolOptions {
  readonly connect: (deadline: number) => Promise<Session>;
  readonly size: number;
  readonly idleTimeoutMs: number;
  readonly clock: Clock;
}

interface Waiter {
  readonly timer: NodeJS.Timeout;
  readonly resolve: (session: Session | undefined) => void;
}

interface IdleSession {
  readonly session: Session;
  readonly since: number;
}

/**
 * Connections that are borrowed by one call at a time. The driver's own pool has no deadline for
 * waiting, and hands a connection that is still busy to the next caller.
 */
export class Pool {
  readonly #options: PoolOptions;
  /** The last one given back is the first one borrowed, so that surplus ones grow old and go. */
  #idle: IdleSession[] = [];
  readonly #waiters: Waiter[] = [];
  #open = 0;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Borrows a connection for `work`; a call that fails midway through a transaction gives none back. */
  async use<T>(deadline: number, work: (session: Session) => Promise<T>): Promise<T> {
    const session = await this.#acquire(deadline);
    try {
      return await work(session);
    } finally {
      this.#release(session);
    }
  }

  /** Closes every idle connection, and each other one as soon as it is given back. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const waiter of this.#waiters.splice(0)) this.#answer(waiter, undefined);
    await Promise.all(this.#idle.splice(0).map(({ session }) => session.quit()));
  }

  /** After a call ran out of time, what is idle may be as dead: the next calls connect anew. */
  dropIdle(): void {
    for (const { session } of this.#idle.splice(0)) session.destroy();
  }

  async #acquire(deadline: number): Promise<Session> {
    while (!this.#closed) {
      const session =
        this.#takeIdle() ??
        (this.#open < this.#options.size
          ? await this.#connect(deadline)
          : await this.#wait(deadline));
      if (session !== undefined && !session.ended) return session;
      if (this.#options.clock.monotonic() >= deadline) {
        throw new ConnectError("no connection of the pool became free in time");
      }
    }
    throw new ConnectError("the pool is closed");
  }

  #takeIdle(): Session | undefined {
    const oldest = this.#options.clock.monotonic() - this.#options.idleTimeoutMs;
    while (this.#idle[0] !== undefined && this.#idle[0].since < oldest) {
      this.#idle.shift()?.session.destroy();
    }
    return this.#idle.pop()?.session;
  }

  async #connect(deadline: number): Promise<Session> {
    this.#open += 1;
    let session: Session;
    try {
      session = await this.#options.connect(deadline);
    } catch (error) {
      this.#forget();
      throw error;
    }
    session.onEnd(() => {
      this.#idle = this.#idle.filter((idle) => idle.session !== session);
      this.#forget();
    });
    return session;
  }

  /** One connection fewer: whoever waits may open another. */
  #forget(): void {
    this.#open -= 1;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) this.#answer(waiter, undefined);
  }

  #wait(deadline: number): Promise<Session | undefined> {
    return new Promise((resolve) => {
      const remaining = Math.max(0, deadline - this.#options.clock.monotonic());
      const waiter: Waiter = {
        resolve,
        timer: setTimeout(() => {
          this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
          resolve(undefined);
        }, remaining),
      };
      this.#waiters.push(waiter);
    });
  }

  #answer(waiter: Waiter, session: Session | undefined): void {
    clearTimeout(waiter.timer);
    waiter.resolve(session);
  }

  #release(session: Session): void {
    if (session.ended) return;
    if (this.#closed) {
      void session.quit();
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      this.#answer(waiter, session);
      return;
    }
    this.#idle.push({ session, since: this.#options.clock.monotonic() });
  }
}
