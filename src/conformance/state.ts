import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { StateApi } from "../api.ts";
import { stateConditionCases } from "./state-conditions.ts";
import { StateContext, stateMeets, type StateCase, type StateFacts } from "./state-context.ts";
import { entryCases } from "./state-entries.ts";
import { listCases } from "./state-lists.ts";
import { toolCases } from "./state-tools.ts";
import { transactCases } from "./state-transact.ts";
import { watchCases } from "./state-watch.ts";

export type { StateFacts } from "./state-context.ts";

/** Every case of the state suite. */
export const STATE_CASES: readonly StateCase[] = [
  ...entryCases,
  ...stateConditionCases,
  ...listCases,
  ...toolCases,
  ...transactCases,
  ...watchCases,
];

export interface StateConformance extends StateFacts {
  readonly name: string;
  /** Opens another one over the same data on every call, with values of up to 8 MiB. */
  readonly open: () => Promise<StateApi>;
  /** Cases that this one can't pass, by name, each with its reason. An unknown name fails. */
  readonly exceptions?: Readonly<Record<string, string>>;
}

/** Longest time that one case may take. */
const CASE_TIMEOUT_MS = 240_000;

/**
 * Registers with `node:test` the suite of what people program against: the engine over a store, and
 * the client over HTTP, have to pass the same cases.
 */
export function stateConformance(suite: StateConformance): void {
  const exceptions = suite.exceptions ?? {};
  const known = new Set(STATE_CASES.map((test) => test.name));
  const unknown = Object.keys(exceptions).filter((name) => !known.has(name));
  if (unknown.length > 0) throw new Error(`no such cases: ${unknown.join("; ")}`);

  describe(`state conformance of ${suite.name}`, () => {
    let state: StateApi | undefined;
    before(async () => {
      state = await suite.open();
    });
    after(() => state?.close());
    for (const test of STATE_CASES) {
      if (!stateMeets(suite, test.needs) || Object.hasOwn(exceptions, test.name)) continue;
      it(test.name, { timeout: CASE_TIMEOUT_MS }, async () => {
        assert.ok(state !== undefined, "the state was opened");
        await runStateCase(new StateContext(suite, state, suite.open), test);
      });
    }
  });
}

/** Runs one case and ends what it left open, also where it fails. */
export async function runStateCase(context: StateContext, test: StateCase): Promise<void> {
  try {
    await test.run(context);
  } finally {
    await context.end();
  }
}
