import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

import type { Clock } from "../telemetry/clock.ts";
import { addressOf } from "./address.ts";
import { Crowds } from "./crowds.ts";
import type { Run } from "./turns.ts";

/** What requests that come in may take of one turn of the event loop, and those put off as much again. */
const TURN_MS = 0.5;

/** The same while connections come, as one turn takes in one of them. */
const TURN_MS_OF_ARRIVALS = 0.25;

/** Tasks that are run before what follows from them; one by one, it shows in the rate of requests. */
const AT_A_TIME = 4;

/** Addresses of which one more request is served when the time of a turn is over. */
const LET_THROUGH_MAX = 16;

const DONE = Promise.resolve();

type Task = () => void;

/** A connection; clients are told apart by their addresses. */
type Client = Pick<Socket, "remoteAddress">;

/**
 * Keeps the turns of the event loop short. All that is readable when a turn begins is read in it, and
 * each request would be served at once: a thousand clients that send at the same moment would hold up
 * everybody else until the last of them is served. Where the requests of a turn have taken their time,
 * further ones are put off to later turns. What comes in then goes first, so that a client which asks
 * for little is served between two pieces of the burst; the rest of the turn belongs to what was put off.
 *
 * Of what was put off, each address has one task run, and then each its next; and one that has nothing
 * put off has a request served in each turn, over or not. So a client waits for its own burst, and not
 * for that of another machine. For the same reason, when a turn is over, the connections of addresses
 * that have many are read in turns.
 *
 * The event loop takes in one new connection in each of its turns (libuv since 1.45,
 * https://github.com/libuv/libuv/pull/3696). So turns are shorter still while connections come.
 */
export class LoopTime {
  readonly #clock: Clock;
  readonly #crowds = new Crowds();
  /** By the client's address, each in the order in which they came; whose turn it is stands first. */
  readonly #putOff = new Map<string, Task[]>();
  /** Addresses that have had their request of this turn since its time was over. */
  readonly #letThrough = new Set<string>();
  #isWatching = false;
  #watchedFrom = -Infinity;
  #turnMs = TURN_MS;
  #until = 0;
  #hasCome = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many wait for a later turn. */
  get waiting(): number {
    return [...this.#putOff.values()].reduce((sum, tasks) => sum + tasks.length, 0);
  }

  /**
   * Whether this turn has been given to requests for long enough. The end of a turn is looked for at
   * most once in `TURN_MS`: whenever it is, the event loop does not sleep, and goes round once more.
   */
  get isOver(): boolean {
    const passedMs = this.#clock.monotonic() - this.#watchedFrom;
    if (!this.#isWatching) {
      if (passedMs >= TURN_MS) this.#watch();
      return false;
    }
    if (passedMs < this.#turnMs) return false;
    this.#crowds.pause({ areComing: this.#turnMs === TURN_MS_OF_ARRIVALS });
    return true;
  }

  /** To be called for each new connection. */
  connected(connection: Socket): void {
    this.#hasCome = true;
    this.#turnMs = TURN_MS_OF_ARRIVALS;
    if (!this.#isWatching) this.#watch();
    this.#crowds.add(connection);
    // Where thousands of clients leave, nobody else may ask whether the turn is over.
    connection.on("end", this.#look);
    connection.on("close", this.#look);
  }

  /** Calls `run`: now, mostly. */
  take(request: IncomingMessage, response: ServerResponse, run: Run): void {
    if (!this.isOver || this.#letsThrough(request.socket)) return run(request, response);
    this.putOff(request.socket, () => {
      // Of a connection that is gone, nobody would hear that its request has ended.
      if (!response.destroyed) run(request, response);
    });
  }

  /** Whether a request is served although this turn is over. */
  #letsThrough(client: Client): boolean {
    const address = addressOf(client);
    const { size } = this.#letThrough;
    if (size >= LET_THROUGH_MAX || this.#putOff.has(address)) return false;
    return this.#letThrough.add(address).size > size;
  }

  /** Has `task`, which serves this client, run in a later turn. */
  putOff(client: Client, task: Task): void {
    const address = addressOf(client);
    const tasks = this.#putOff.get(address);
    if (tasks === undefined) this.#putOff.set(address, [task]);
    else tasks.push(task);
    if (!this.#isWatching) this.#watch();
  }

  /** Resolves in a later turn. */
  pass(client: Client): Promise<void> {
    return new Promise((resolve) => this.putOff(client, resolve));
  }

  /** Takes the next task of the address whose turn it is, which then is the last to have another. */
  #takeTask(): Task | undefined {
    const [first] = this.#putOff;
    if (first === undefined) return undefined;
    const [address, tasks] = first;
    const task = tasks.shift();
    this.#putOff.delete(address);
    if (tasks.length > 0) this.#putOff.set(address, tasks);
    return task;
  }

  #watch(): void {
    this.#isWatching = true;
    this.#watchedFrom = this.#clock.monotonic();
    setImmediate(this.#begin);
  }

  readonly #look = (): boolean => this.isOver;

  readonly #begin = (): void => {
    this.#until = this.#clock.monotonic() + this.#turnMs;
    this.#run();
  };

  readonly #run = (): void => {
    for (let left = AT_A_TIME; left > 0; left -= 1) {
      if (this.#clock.monotonic() >= this.#until) return this.#endTurn();
      const task = this.#takeTask();
      if (task === undefined) return this.#endTurn();
      task();
    }
    // A tick that is asked for by a microtask comes when no microtask is left, so that all that
    // follows from these tasks at once is a part of their time.
    void DONE.then(this.#afterMicrotasks);
  };

  readonly #afterMicrotasks = (): void => process.nextTick(this.#run);

  #endTurn(): void {
    this.#isWatching = false;
    if (this.#letThrough.size > 0) this.#letThrough.clear();
    if (!this.#hasCome) this.#turnMs = TURN_MS;
    this.#crowds.resumeSome();
    if (this.#putOff.size > 0 || this.#hasCome || this.#crowds.hasPaused) this.#watch();
    this.#hasCome = false;
  }
}
