import type { IncomingMessage } from "node:http";

/**
 * Has long bodies arrive in pieces. From a connection that sends as fast as it is read, libuv reads up to
 * two mebibytes in each turn of the event loop, and as many from the next one; a body that is paused
 * after each piece leaves it at two pieces, of 64 KiB. Each body waits for those before it.
 */
export class BodyPace {
  readonly #atATime: number;
  readonly #plan: (goOn: () => void) => unknown;
  #waiting: IncomingMessage[] = [];

  private constructor(atATime: number, plan: (goOn: () => void) => unknown) {
    this.#atATime = atATime;
    this.#plan = plan;
  }

  /** For bodies that are asked for: some go on in each turn of the event loop. */
  static wanted(): BodyPace {
    return new BodyPace(4, setImmediate);
  }

  /**
   * For what nobody asked for, and is read to be thrown away: one body goes on in each millisecond, so
   * that all take some 100 MiB a second. V8 collects all of its heap for each 64 MiB that are read: at
   * full speed, that is a tenth of a second of each second.
   */
  static unwanted(): BodyPace {
    return new BodyPace(1, (goOn) => setTimeout(goOn, 1));
  }

  /** Pauses a body, and has it go on when it is its turn. */
  pause(request: IncomingMessage): void {
    request.pause();
    this.#waiting.push(request);
    if (this.#waiting.length === 1) this.#planNext();
  }

  #planNext(): void {
    this.#plan(() => this.#goOn());
  }

  #goOn(): void {
    const next = this.#waiting.slice(0, this.#atATime);
    this.#waiting = this.#waiting.slice(this.#atATime);
    if (this.#waiting.length > 0) this.#planNext();
    for (const request of next) request.resume();
  }
}
