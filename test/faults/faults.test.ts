import assert from "node:assert/strict";
import { test } from "node:test";

import { isSelected } from "../servers/selection.ts";
import { BACK_END_NAMES } from "./back-ends.ts";
import { FAULTS, type Fault } from "./faults.ts";
import { runScenario } from "./scenario.ts";

/** The faults of every run; `npm run test:faults` has all of them, longer and with more seeds. */
const QUICK = ["kill-server", "kill-back-end", "lost-answers"];

function isPossible(fault: Fault, backEnd: string): boolean {
  return QUICK.includes(fault.name) && (backEnd !== "sqlite" || !fault.needsServer);
}

for (const backEnd of BACK_END_NAMES.filter(isSelected)) {
  for (const fault of FAULTS.filter((each) => isPossible(each, backEnd))) {
    test(`nothing is lost on ${backEnd} when ${fault.what}`, async () => {
      const result = await runScenario({ backEnd, fault, seed: 1, seconds: 2, pauseMs: 1_000 });
      assert.deepEqual(result.violations, []);
      assert.ok(result.acknowledged > 20, `${result.acknowledged} calls were acknowledged`);
      assert.ok(result.recoveryMs < Infinity, "calls were acknowledged after the fault");
    });
  }
}
