import type { IncomingMessage } from "node:http";

/** Paused bodies that go on in each turn of the event loop. */
const EACH_TURN = 4;

/**
 * Has long bodies arrive in pieces. From a connection that sends as fast as it is read, libuv reads up to
 * two mebibytes in each turn of the event loop, and as many from the next one; a body that is paused
 * after each piece leaves it at two pieces, of 64 KiB. Each body waits for those before it.
 */
export class BodyPace {
  #waiting: IncomingMessage[] = [];

  /** Pauses a body, and has it go on when it is its turn. */
  pause(request: IncomingMessage): void {
    request.pause();
    this.#waiting.push(request);
    if (this.#waiting.length === 1) setImmediate(() => this.#goOn());
  }

  #goOn(): void {
    const next = this.#waiting.slice(0, EACH_TURN);
    this.#waiting = this.#waiting.slice(EACH_TURN);
    if (this.#waiting.length > 0) setImmediate(() => this.#goOn());
    for (const request of next) request.resume();
  }
}
