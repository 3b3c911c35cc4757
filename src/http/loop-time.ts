import type { IncomingMessage, ServerResponse } from "node:http";

import type { Clock } from "../telemetry/clock.ts";
import type { Run } from "./turns.ts";

/** What requests that come in may take of one turn of the event loop, and those put off as much again. */
const TURN_MS = 3;

/** The same while connections come, as one turn takes in one of them. */
const TURN_MS_OF_ARRIVALS = 0.5;

/** Tasks that are run before what follows from them; one by one, it shows in the rate of requests. */
const AT_A_TIME = 4;

const DONE = Promise.resolve();

/** Tasks that have run are forgotten when there are this many. */
const PASSED_MAX = 1_000;

/**
 * Keeps the turns of the event loop short. All that is readable when a turn begins is read in it, and
 * each request would be served at once: a thousand clients that send at the same moment would hold up
 * everybody else until the last of them is served. Where the requests of a turn have taken their time,
 * further ones are put off to later turns. What comes in then goes first, so that a client which asks
 * for little is served between two pieces of the burst; the rest of the turn belongs to what was put off.
 *
 * The event loop takes in one new connection in each of its turns (libuv since 1.45,
 * https://github.com/libuv/libuv/pull/3696). So turns are shorter still while connections come.
 */
export class LoopTime {
  readonly #clock: Clock;
  /** In the order in which they came, from `#next` on. */
  #putOff: (() => void)[] = [];
  #next = 0;
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
    return this.#putOff.length - this.#next;
  }

  /**
   * Whether this turn has been given to requests for long enough. The end of a turn is looked for at
   * most once in `TURN_MS`: whenever it is, the event loop does not sleep, and goes round once more.
   */
  get isOver(): boolean {
    const passedMs = this.#clock.monotonic() - this.#watchedFrom;
    if (this.#isWatching) return passedMs >= this.#turnMs;
    if (passedMs >= TURN_MS) this.#watch();
    return false;
  }

  /** To be called for each new connection. */
  connected(): void {
    this.#hasCome = true;
    this.#turnMs = TURN_MS_OF_ARRIVALS;
    if (!this.#isWatching) this.#watch();
  }

  /** Calls `run`: now, mostly. */
  take(request: IncomingMessage, response: ServerResponse, run: Run): void {
    if (!this.isOver) return run(request, response);
    this.putOff(() => {
      // Of a connection that is gone, nobody would hear that its request has ended.
      if (!response.destroyed) run(request, response);
    });
  }

  /** Has `task` run in a later turn. */
  putOff(task: () => void): void {
    this.#putOff.push(task);
    if (!this.#isWatching) this.#watch();
  }

  /** Resolves in a later turn. */
  pass(): Promise<void> {
    return new Promise((resolve) => this.putOff(resolve));
  }

  #watch(): void {
    this.#isWatching = true;
    this.#watchedFrom = this.#clock.monotonic();
    setImmediate(this.#begin);
  }

  readonly #begin = (): void => {
    this.#until = this.#clock.monotonic() + this.#turnMs;
    this.#run();
  };

  readonly #run = (): void => {
    for (let left = AT_A_TIME; left > 0; left -= 1) {
      const task = this.#putOff[this.#next];
      if (task === undefined || this.#clock.monotonic() >= this.#until) return this.#endTurn();
      this.#next += 1;
      task();
    }
    // A tick that is asked for by a microtask comes when no microtask is left, so that all that
    // follows from these tasks at once is a part of their time.
    void DONE.then(this.#afterMicrotasks);
  };

  readonly #afterMicrotasks = (): void => process.nextTick(this.#run);

  #endTurn(): void {
    this.#isWatching = false;
    if (!this.#hasCome) this.#turnMs = TURN_MS;
    if (this.#next >= PASSED_MAX || this.waiting === 0) {
      this.#putOff = this.#putOff.slice(this.#next);
      this.#next = 0;
    }
    if (this.waiting > 0 || this.#hasCome) this.#watch();
    this.#hasCome = false;
  }
}
