import { randomInt } from "node:crypto";
import { describe, it } from "node:test";
import { keyOf } from "../../src/conformance/build.ts";
import { storeOptions } from "../../src/conformance/context.ts";
import type { Open } from "../../src/conformance/facts.ts";
import type { Key } from "../../src/key.ts";
import type { StoreInfo } from "../../src/store.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { Model } from "./model.ts";
import { Random } from "./random.ts";
import { step, type Run } from "./steps.ts";

const STEPS_SHOWN = 12;
const RUN_TIMEOUT_MS = 280_000;

/** A store that a run of steps is for. */
export interface ModelRun {
  readonly name: string;
  /** Answers the URL of a new, empty store. */
  readonly url: () => string;
  readonly openStore: Open;
  readonly transactions: StoreInfo["transactions"];
  /** How many, unless `STEPS` says otherwise. */
  readonly steps: number;
}

/**
 * Registers a run of random steps on an empty store, each of which has to end as it does on a plain
 * model. A failure names its seed; `SEED=123` runs the same steps again, and `STEPS=` more of them.
 */
export function modelRun(options: ModelRun): void {
  const seed = Number(process.env["SEED"] ?? randomInt(2 ** 32));
  const steps = Number(process.env["STEPS"] ?? options.steps);
  describe(`random steps on ${options.name}`, () => {
    it(`end as on the model, ${steps} of them`, { timeout: RUN_TIMEOUT_MS }, async () => {
      await runSteps(options, seed, steps);
    });
  });
}

/** Runs the steps that a seed stands for; fails with the seed and the last of them. */
export async function runSteps(options: ModelRun, seed: number, steps: number): Promise<void> {
  const store = await options.openStore(options.url(), storeOptions(systemClock));
  const random = new Random(seed);
  const { transactions } = options;
  const keys = makeKeys(transactions === "one-tag");
  const model = new Model();
  const run: Run = { store, model, random, keys, transactions, requests: [], values: 0 };
  const done: string[] = [];
  try {
    for (let i = 0; i < steps; i += 1) done.push(`${i}: ${await step(run)}`);
  } catch (error) {
    const last = done.slice(-STEPS_SHOWN).join("\n");
    const what = `SEED=${seed} fails at step ${done.length}, after these:\n${last}`;
    throw new Error(what, { cause: error });
  } finally {
    await store.close();
  }
}

/** Few keys, so that steps meet; odd ones among them. */
function makeKeys(isTagged: boolean): readonly Key[] {
  const ends = [
    "a",
    "A",
    "a ",
    "ä",
    "a\u0308",
    "b/1",
    "b/2",
    "\u{1f600}",
    "\ufffd",
    "$x.y",
    "%_",
    "7",
  ];
  return ends.map((end) => keyOf(isTagged ? `{tag}${end}` : end));
}
