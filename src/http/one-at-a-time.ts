import { setImmediate as nextTurn } from "node:timers/promises";

/** Does a part of a task's work; true once there is no more. */
export type Step = () => boolean;

/**
 * Does tasks in order, one step in each turn of the event loop. Work of milliseconds that comes in
 * hundreds at once then holds up everybody else for as long as one step takes.
 */
export class OneAtATime {
  #last: Promise<void> = Promise.resolve();

  /** Resolves when the last step is done; rejects with what a step throws. */
  run(step: Step): Promise<void> {
    const done = this.#last.then(() => runAll(step));
    this.#last = done.catch(() => {});
    return done;
  }
}

async function runAll(step: Step): Promise<void> {
  do await nextTurn();
  while (!step());
}
