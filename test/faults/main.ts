import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { BACK_END_NAMES } from "./back-ends.ts";
import { FAULTS } from "./faults.ts";
import { mayLose, planRuns, type PlannedRun } from "./plan.ts";
import { ensurePrograms } from "./requirements.ts";
import { distinct, toMarkdown, toRows, toTable } from "./report.ts";
import { runScenario, type ScenarioResult } from "./scenario.ts";

/** Runs faults against stores, and prints a table of what became of what was acknowledged. */
const USAGE = `npm run test:faults -- [options]

Loads three server processes over each back end while something goes wrong, and checks what every call
was answered. Without options it runs the short set, in about 10 minutes.

  --stores a,b,…     ${BACK_END_NAMES.join(", ")}
  --faults a,b,…     ${FAULTS.map(({ name }) => name).join(", ")}
  --seeds 1,2,…      one run for each; a seed decides what the clients do
  --seconds N        least length of the load (3)
  --pause N          length of a pause, in milliseconds (5000)
  --long             every fault on every store, with seeds 1 to 3 and pauses of 5, 10 and 15 s
  --write            puts the table into docs/reliability.md
  --help             prints this
`;

const DOCUMENT = join(import.meta.dirname, "../../docs/reliability.md");

/** The part of the document between these lines is the run's. */
const BEGIN = "<!-- written by npm run test:faults: begin -->";
const END = "<!-- written by npm run test:faults: end -->";

/** Witnesses printed of one run; one violation often makes many more. */
const WITNESSES_MAX = 3;

const { values } = parseArgs({
  options: {
    stores: { type: "string" },
    faults: { type: "string" },
    seeds: { type: "string" },
    seconds: { type: "string", default: "3" },
    pause: { type: "string" },
    long: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit();
}

const plan = planRuns({
  stores: values.stores?.split(","),
  faults: values.faults?.split(","),
  seeds: values.seeds?.split(",").map(Number),
  pauseMs: values.pause === undefined ? undefined : Number(values.pause),
  isLong: values.long,
});
await ensurePrograms(plan);
const results: ScenarioResult[] = [];
for (const run of plan) results.push(await runAndTell(run));

process.stdout.write(`${toTable(toRows(results))}\n`);
if (values.write) await write(results);
const failed = results.filter(isFailed).length;
process.stdout.write(`${results.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && results.length > 0 ? 0 : 1;

function isFailed({ backEnd, fault, violations, recoveryMs }: ScenarioResult): boolean {
  if (recoveryMs === Infinity) return true;
  return violations.length > 0 && !mayLose(backEnd, fault);
}

async function runAndTell(run: PlannedRun): Promise<ScenarioResult> {
  const { backEnd, fault, seed } = run;
  process.stderr.write(`${backEnd}: ${fault.what} (seed ${seed}) …`);
  const result = await runScenario({ ...run, seconds: Number(values.seconds) });
  const violations = distinct(result.violations);
  const failures = [...result.failures].map(([code, count]) => `${code} ${count}`).join(", ");
  process.stderr.write(
    ` ${result.acknowledged} acknowledged, ${violations.length} violations` +
      `${failures === "" ? "" : `; failed: ${failures}`}; longest call ${result.longestCallMs} ms` +
      `${result.notes.map((note) => `; ${note}`).join("")}\n`,
  );
  for (const violation of violations.slice(0, WITNESSES_MAX)) {
    process.stderr.write(`${JSON.stringify(violation, undefined, 2)}\n`);
  }
  return result;
}

async function write(all: readonly ScenarioResult[]): Promise<void> {
  const text = await readFile(DOCUMENT, "utf8");
  const given = process.argv.slice(2).filter((arg) => arg !== "--write");
  const command = ["npm run test:faults", ...(given.length > 0 ? ["--", ...given] : [])].join(" ");
  const before = text.slice(0, text.indexOf(BEGIN) + BEGIN.length);
  const part = toMarkdown(all, command);
  await writeFile(DOCUMENT, `${before}\n\n${part}\n${text.slice(text.indexOf(END))}`);
}
