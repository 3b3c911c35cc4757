import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { mayLose, planRuns, type PlannedRun } from "./plan.ts";
import { ensurePrograms } from "./requirements.ts";
import { distinct, toMarkdown, toRows, toTable } from "./report.ts";
import { runScenario, type ScenarioResult } from "./scenario.ts";

/**
 * Runs faults against stores, prints a table, and with `--write` puts it into docs/reliability.md.
 * Without arguments it runs the short set; `--long` runs everything with three seeds.
 */
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
  },
});

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
