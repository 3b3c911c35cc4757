import { setImmediate as nextTurn } from "node:timers/promises";

/** The most that a count grows by in a turn of the event loop, until it has come to `all`. */
export async function mostInATurn(count: () => number, all: number): Promise<number> {
  let before = count();
  let most = 0;
  while (before < all) {
    await nextTurn();
    most = Math.max(most, count() - before);
    before = count();
  }
  return most;
}
