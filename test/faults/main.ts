import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { BACK_END_NAMES } from "./back-ends.ts";
import { FAULTS } from "./faults.ts";
import { toMarkdown, toRows, toTable } from "./report.ts";
import { runScenario, type ScenarioResult } from "./scenario.ts";

const DOCUMENT = join(import.meta.dirname, "../../docs/reliability.md");

/** The part of the document between these lines is the run's. */
const BEGIN = "<!-- written by npm run test:faults: begin -->";
const END = "<!-- written by npm run test:faults: end -->";

const { values } = parseArgs({
  options: {
    stores: { type: "string", default: BACK_END_NAMES.join(",") },
    faults: { type: "string", default: FAULTS.map(({ name }) => name).join(",") },
    seeds: { type: "string", default: "1" },
    seconds: { type: "string", default: "4" },
    pause: { type: "string", default: "5000" },
    write: { type: "boolean", default: false },
  },
});

const stores = values.stores.split(",");
const faults = values.faults.split(",");
const results: ScenarioResult[] = [];

for (const backEnd of BACK_END_NAMES.filter((name) => stores.includes(name))) {
  for (const fault of FAULTS.filter(({ name }) => faults.includes(name))) {
    if (fault.needsServer && backEnd === "sqlite") continue;
    for (const seed of values.seeds.split(",").map(Number)) {
      process.stderr.write(`${backEnd}: ${fault.what} (seed ${seed}) …`);
      const result = await runScenario({
        backEnd,
        fault,
        seed,
        seconds: Number(values.seconds),
        pauseMs: Number(values.pause),
      });
      results.push(result);
      const { violations, acknowledged } = result;
      process.stderr.write(` ${acknowledged} acknowledged, ${violations.length} violations\n`);
      for (const violation of violations.slice(0, 3)) {
        process.stderr.write(`${JSON.stringify(violation, undefined, 2)}\n`);
      }
    }
  }
}

process.stdout.write(`${toTable(toRows(results))}\n`);
const failed = results.filter(({ violations }) => violations.length > 0).length;
if (values.write) {
  const text = await readFile(DOCUMENT, "utf8");
  const given = process.argv.slice(2).join(" ");
  const part = toMarkdown(results, `npm run test:faults -- ${given}`);
  const before = text.slice(0, text.indexOf(BEGIN) + BEGIN.length);
  await writeFile(DOCUMENT, `${before}\n\n${part}\n${text.slice(text.indexOf(END))}`);
}
process.stdout.write(`${results.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
