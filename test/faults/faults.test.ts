import assert from "node:assert/strict";
import { test } from "node:test";

import { isSelected } from "../servers/selection.ts";
import { EMBEDDED_NAMES, SERVER_NAMES } from "./back-ends.ts";
import { FAULTS } from "./faults.ts";
import { runScenario } from "./scenario.ts";

/** Two files of tests run at once, on machines that have other work too. */
const PATIENCE_MS = 60_000;

/** The faults of every run; `npm run test:faults` has all of them, longer and with more seeds. */
const QUICK = ["kill-server", "kill-back-end", "lost-answers"];

/** Of a store in a file and of one in a server, what is about files and releases. */
const QUICK_TOO: Readonly<Record<string, readonly string[]>> = {
  sqlite: ["disk-full", "old-and-new"],
  redis: ["disk-full", "old-and-new"],
};

for (const backEnd of [...EMBEDDED_NAMES, ...SERVER_NAMES].filter(isSelected)) {
  const names = [...QUICK, ...(QUICK_TOO[backEnd] ?? [])];
  for (const fault of FAULTS.filter(
    ({ name, on }) => names.includes(name) && on.includes(backEnd),
  )) {
    test(`nothing is lost on ${backEnd} when ${fault.what}`, async () => {
      const quick = { seed: 1, seconds: 2, pauseMs: 1_000, patienceMs: PATIENCE_MS };
      const result = await runScenario({ backEnd, fault, ...quick });
      assert.deepEqual(result.violations, []);
      assert.ok(result.acknowledged > 20, `${result.acknowledged} calls were acknowledged`);
      assert.ok(result.recoveryMs < Infinity, "calls were acknowledged after the fault");
    });
  }
}
