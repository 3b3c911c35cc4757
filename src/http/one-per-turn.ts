import { setImmediate as nextTurn } from "node:timers/promises";

/**
 * Lets callers pass in order, one in each turn of the event loop. Work of milliseconds that comes in
 * hundreds at once then holds up everybody else for as long as one piece of it takes.
 */
export class OnePerTurn {
  #last: Promise<void> = Promise.resolve();

  pass(): Promise<void> {
    this.#last = this.#last.then(() => nextTurn());
    return this.#last;
  }
}
