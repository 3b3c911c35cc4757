import { connect as connectSocket, type Socket } from "node:net";
import { createConnection, type Connection, type ConnectionOptions } from "mysql2";
import type { Clock } from "../../telemetry/clock.ts";
import { ConnectError, LostConnectionError, serverErrorNumber } from "./classify.ts";

export type Cell = Buffer | number | string | null;

/** What one statement answered: its rows, each an array of cells in the order selected. */
export type Rows = readonly (readonly Cell[])[];

export interface SessionOptions {
  readonly driver: ConnectionOptions;
  readonly database: string | undefined;
  /** Statements that make the session what the store needs. */
  readonly setup: readonly string[];
  /**
   * Whether each statement is sent in a packet of its own. Galera may roll a transaction back between two
   * statements of one packet, and the server then carries out the rest of the packet without one.
   */
  readonly isOneByOne: boolean;
  readonly clock: Clock;
}

/** Large values alone are sent by a prepared statement, and there is one such statement. */
const PREPARED_STATEMENTS_MAX = 4;

/**
 * How long the first address of a host is waited for before the next. What Node.js waits, a quarter of
 * a second, is taken for silence where this process itself has stood still that long.
 */
const ADDRESS_MS_MAX = 2_500;

/**
 * One connection. Every call settles by its deadline; one that passes it destroys the connection,
 * since the server may still be at work on the statement and would answer into the next call.
 */
export class Session {
  readonly #connection: Connection;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #isOneByOne: boolean;
  readonly #onEnd: (() => void)[] = [];
  #ended = false;
  #rejectCurrent: ((error: Error) => void) | undefined;

  private constructor(connection: Connection, socket: Socket, options: SessionOptions) {
    this.#connection = connection;
    this.#socket = socket;
    this.#clock = options.clock;
    this.#isOneByOne = options.isOneByOne;
    // Without a listener, an error of an idle connection would end the process.
    connection.on("error", (error: Error) => this.#end(error));
    socket.on("close", () => this.#end(undefined));
  }

  /** Connects, and sets the session up. Rejects with {@link ConnectError}. */
  static async open(options: SessionOptions, deadline: number): Promise<Session> {
    const { driver, clock } = options;
    const socket = driver.socketPath
      ? connectSocket(driver.socketPath)
      : connectSocket({
          host: driver.host ?? "127.0.0.1",
          port: driver.port ?? 3306,
          ...(driver.localAddress === undefined ? {} : { localAddress: driver.localAddress }),
          keepAlive: driver.enableKeepAlive ?? true,
          keepAliveInitialDelay: driver.keepAliveInitialDelay ?? 0,
          noDelay: true,
          autoSelectFamilyAttemptTimeout: ADDRESS_MS_MAX,
        });
    const connection = createConnection({
      ...driver,
      ...(options.database === undefined ? {} : { database: options.database }),
      // Our own socket, as only it can be closed at once: the driver waits for the other side.
      stream: () => socket,
      connectTimeout: 0,
      multipleStatements: true,
      rowsAsArray: true,
      // Our text has no placeholders; the driver would search all of it for some.
      queryFormat: (sql) => sql,
      maxPreparedStatements: PREPARED_STATEMENTS_MAX,
    });
    const session = new Session(connection, socket, options);
    const limit = Math.min(deadline, clock.monotonic() + (driver.connectTimeout ?? Infinity));
    try {
      await session.#settle<void>(limit, (done) => connection.connect((error) => done(error)));
      await session.run(options.setup, limit);
    } catch (error) {
      session.destroy();
      throw new ConnectError("no connection to the database", { cause: error });
    }
    return session;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Calls back once, when the connection is gone. */
  onEnd(callback: () => void): void {
    if (this.#ended) callback();
    else this.#onEnd.push(callback);
  }

  /**
   * Sends statements, in one packet mostly, and answers the rows of each. None is carried out after the
   * first that fails, and an open transaction is left open.
   */
  async run(statements: readonly string[], deadline: number): Promise<readonly Rows[]> {
    if (this.#isOneByOne && statements.length > 1) {
      const results: Rows[] = [];
      for (const one of statements) results.push(...(await this.run([one], deadline)));
      return results;
    }
    const sql = statements.join(";");
    const result = await this.#settle<unknown>(deadline, (done) => {
      this.#connection.query({ sql }, (error, rows) => done(error, rows));
    });
    return (statements.length === 1 ? [result] : result) as readonly Rows[];
  }

  /** Sends one statement with its values apart, in the binary protocol. */
  async execute(
    sql: string,
    values: readonly (Buffer | number | null)[],
    deadline: number,
  ): Promise<void> {
    await this.#settle<unknown>(deadline, (done) => {
      this.#connection.execute({ sql, values: [...values] }, (error) => done(error));
    });
  }

  /** Lets go at once, whatever is under way. */
  destroy(): void {
    this.#end(undefined);
  }

  /** Says goodbye to the server, which then need not log an aborted connection. */
  async quit(): Promise<void> {
    if (this.#ended) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.onEnd(resolve);
    this.#connection.end(() => this.destroy());
    const timer = setTimeout(() => this.destroy(), 200);
    await promise;
    clearTimeout(timer);
  }

  /** One command at a time: a session belongs to one call. */
  #settle<T>(
    deadline: number,
    start: (done: (error: Error | null, result?: unknown) => void) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#ended) {
        reject(new ConnectError("the connection had ended before this statement"));
        return;
      }
      const remaining = deadline - this.#clock.monotonic();
      // What is sent may be carried out, and nobody would wait for the answer, nor expect it any more.
      if (remaining <= 0) {
        reject(new ConnectError("the deadline had passed before this statement"));
        return;
      }
      const timer = setTimeout(() => {
        this.#end(new Error("the deadline passed"));
      }, remaining);
      const rejectThis = (error: Error): void => {
        clearTimeout(timer);
        reject(error);
      };
      this.#rejectCurrent = rejectThis;
      start((error, result) => {
        clearTimeout(timer);
        this.#rejectCurrent = undefined;
        if (error === null) resolve(result as T);
        else if (serverErrorNumber(error) !== undefined) reject(withoutSql(error));
        else {
          this.#end(error);
          reject(new LostConnectionError("the connection ended", { cause: error }));
        }
      });
    });
  }

  #end(cause: Error | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#connection.destroy();
    this.#socket.destroy();
    const rejectCurrent = this.#rejectCurrent;
    this.#rejectCurrent = undefined;
    // A refused handshake comes as an error of the connection, with the server's own number.
    const isServerError = cause !== undefined && serverErrorNumber(cause) !== undefined;
    rejectCurrent?.(
      isServerError ? cause : new LostConnectionError("the connection ended", { cause }),
    );
    for (const callback of this.#onEnd) callback();
  }
}

/** The driver adds the whole statement to an error, with every value in it; a log must not have that. */
function withoutSql(error: Error): Error {
  delete (error as { sql?: unknown }).sql;
  return error;
}
