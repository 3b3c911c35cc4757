import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../telemetry/clock.ts";
import type { Run } from "./turns.ts";

/** While connections come, a turn of the event loop serves requests for this long, in milliseconds. */
const SLICE_MS = 0.5;

/** Requests that may wait; where more come, all of them are served at once. */
const WAITING_MAX = 4_096;

interface Waiting {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly run: Run;
}

/**
 * Keeps busy connections from holding up new ones. The event loop takes in one new connection in each
 * of its turns (libuv since 1.45, https://github.com/libuv/libuv/pull/3696), and a turn reads from all
 * connections that have sent something: with a thousand busy ones it takes in a few dozen a second.
 * So from the moment that a connection comes, until a turn brings none, requests wait in line, and
 * each turn serves a slice of them.
 */
export class Arrivals {
  readonly #clock: Clock;
  readonly #waiting: Waiting[] = [];
  #isOn = false;
  #hasCome = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** To be called for each new connection. */
  connected(): void {
    this.#hasCome = true;
    if (this.#isOn) return;
    this.#isOn = true;
    setImmediate(this.#endTurn);
  }

  /** Calls `run` in the order of the calls: now, mostly. */
  take(request: IncomingMessage, response: ServerResponse, run: Run): void {
    if (!this.#isOn) return run(request, response);
    this.#waiting.push({ request, response, run });
    if (this.#waiting.length > WAITING_MAX) this.#serve(Infinity);
  }

  readonly #endTurn = (): void => {
    const isOver = !this.#hasCome;
    this.#hasCome = false;
    this.#serve(isOver ? Infinity : this.#clock.monotonic() + SLICE_MS);
    if (isOver) this.#isOn = false;
    else setImmediate(this.#endTurn);
  };

  /** Serves those that wait, one at least, until a time has come. */
  #serve(until: number): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const { request, response, run } = next;
      // Of a connection that is gone, nobody would hear that its request has ended.
      if (!response.destroyed) run(request, response);
      if (this.#clock.monotonic() >= until) return;
    }
  }
}
