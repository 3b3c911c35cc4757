import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { StateApi } from "../../src/api.ts";
import { runStateCase, STATE_CASES } from "../../src/conformance/state.ts";
import { StateContext } from "../../src/conformance/state-context.ts";
import { isSelected } from "../servers/selection.ts";
import { SharedMemory } from "./broken/shared-memory.ts";
import { stateDefects, type StateDefect } from "./broken/state-defects.ts";
import { openState } from "./suites.ts";

/** Runs one case on engines over one memory store, with a defect in front of each. */
async function runWith(defect: StateDefect): Promise<void> {
  const test = STATE_CASES.find(({ name }) => name === defect.caughtBy);
  assert.ok(test !== undefined, `there is no case "${defect.caughtBy}"`);
  const memory = new SharedMemory();
  const url = memory.newUrl();
  const engines: StateApi[] = [];
  const open = async (): Promise<StateApi> => {
    const engine = await openState(memory.open, url);
    engines.push(engine);
    return defect.spoil(engine);
  };
  const facts = { transactions: "any-keys", watch: "push" } as const;
  const patienceMs = 1000;
  const context = new StateContext(facts, await open(), open, patienceMs);
  try {
    await assert.rejects(runStateCase(context, test));
  } finally {
    await Promise.all(engines.map((engine) => engine.close()));
  }
}

if (isSelected("memory")) {
  describe("the state suite finds an engine, or a client, that", () => {
    for (const defect of stateDefects) {
      it(`${defect.what}, by "${defect.caughtBy}"`, { timeout: 120_000 }, () => runWith(defect));
    }
  });
}
