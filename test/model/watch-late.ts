import { setImmediate as turn } from "node:timers/promises";
import { StateError } from "../../src/errors.ts";
import type { ChangeBatch, Store } from "../../src/store.ts";
import type { Random } from "./random.ts";

/** How far away a store is, and how well it can be reached. */
export interface Distance {
  readonly random: Random;
  /** How many turns of the event loop a call may take on its way, each way. */
  readonly turnsMax: number;
  readonly isFeedCutOff: boolean;
}

/** A feed stands still for so many turns now and then, so that readers fall behind it. */
const PAUSE_TURNS = 30;

/** Waits for a random number of turns of the event loop, perhaps for none. */
export async function randomTurns(random: Random, turnsMax: number): Promise<void> {
  for (let left = random.below(turnsMax + 1); left > 0; left -= 1) await turn();
}

/** Makes a store answer as from afar. Only turns of the event loop pass, so a seed repeats it. */
export function makeLate(store: Store, distance: Distance): Store {
  store.read = lateCall(store.read.bind(store), distance);
  store.commit = lateCall(store.commit.bind(store), distance);
  store.history = lateCall(store.history.bind(store), distance);
  const changes = store.changes.bind(store);
  store.changes = (after, signal) => lateFeed(changes(after, signal), distance);
  return store;
}

function lateCall<Parameters extends readonly unknown[], Result>(
  call: (...parameters: Parameters) => Promise<Result>,
  { random, turnsMax }: Distance,
): (...parameters: Parameters) => Promise<Result> {
  return async (...parameters) => {
    await randomTurns(random, turnsMax);
    const result = await call(...parameters);
    await randomTurns(random, turnsMax);
    return result;
  };
}

async function* lateFeed(
  batches: AsyncIterable<ChangeBatch>,
  { random, turnsMax, isFeedCutOff }: Distance,
): AsyncGenerator<ChangeBatch> {
  for await (const batch of batches) {
    if (isFeedCutOff && random.oneIn(12)) {
      throw new StateError("store_unavailable", "The feed was cut off.");
    }
    await randomTurns(random, turnsMax);
    if (turnsMax > 0 && random.oneIn(6)) await randomTurns(random, PAUSE_TURNS);
    yield batch;
  }
}
