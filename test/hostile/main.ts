import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { toMarkdown, toTable } from "./report.ts";
import { runScenario, type Result } from "./run.ts";
import type { Scenario } from "./scenario.ts";
import { SCENARIOS } from "./scenarios/index.ts";

/** Measures a server while it gets what no client should send, or more of it than any should. */
const USAGE = `npm run test:hostile -- [options]

Sends a server what no client should send, and more of it than any should, and measures what becomes of
its memory and of a client that behaves. It takes about 6 minutes.

  --only a,b,…     scenarios whose name holds one of these words
  --store URL      the store that most of them use (memory:)
  --rounds N       runs all N times, and shows of each scenario the round in the middle by what it did to
                   the p99 of the client that behaves (1)
  --write          puts the table into docs/reliability.md
  --help           prints this
`;

const DOCUMENT = join(import.meta.dirname, "../../docs/reliability.md");

/** The part of the document between these lines is the run's. */
const BEGIN = "<!-- written by npm run test:hostile: begin -->";
const END = "<!-- written by npm run test:hostile: end -->";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    store: { type: "string", default: "memory:" },
    rounds: { type: "string", default: "1" },
    write: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit();
}

// Ends the server process too, which a signal's own way to end this one would leave behind.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

const scenarios = chosen(values.only);
const all: Result[] = [];
for (let round = 0; round < Number(values.rounds); round += 1) {
  for (const scenario of scenarios) all.push(await runAndTell(scenario));
}
const results = scenarios.map((scenario) =>
  middleOf(all.filter((one) => one.scenario === scenario)),
);
process.stdout.write(`${toTable(results)}\n`);
if (values.write) await write();
const failed = all.filter(({ failures }) => failures.length > 0);
process.stdout.write(`${all.length - failed.length} passed, ${failed.length} failed\n`);
process.exitCode = failed.length === 0 ? 0 : 1;

/** The scenarios whose name holds one of the words; all of them without any. */
function chosen(only: string | undefined): readonly Scenario[] {
  if (only === undefined) return SCENARIOS;
  const words = only.split(",");
  const found = SCENARIOS.filter(({ name }) => words.some((word) => name.includes(word)));
  if (found.length > 0) return found;
  const names = SCENARIOS.map(({ name }) => name).join(", ");
  throw new Error(`--only names words of a scenario: ${names}`);
}

/** The round in the middle by what the attack did to the p99 of the client that behaves. */
function middleOf(rounds: readonly Result[]): Result {
  const share = ({ before, during }: Result): number => during.p99Ms / before.p99Ms;
  const middle = rounds.toSorted((a, b) => share(a) - share(b))[Math.floor(rounds.length / 2)];
  if (middle === undefined) throw new Error("--rounds is 1 or more");
  return middle;
}

async function runAndTell(scenario: Scenario): Promise<Result> {
  process.stderr.write(`${scenario.name} …`);
  const result = await runScenario(scenario, values.store);
  const { tally, beforeMib, peakMib, before, during, elsewhere, turns } = result;
  const { notes, failures, warnings } = result;
  process.stderr.write(
    ` ${tally.toString()}; memory ${Math.round(beforeMib)} to ${Math.round(peakMib)} MiB; ` +
      `p99 ${before.p99Ms.toFixed(1)} to ${during.p99Ms.toFixed(1)} ms, ` +
      `elsewhere ${elsewhere.p99Ms.toFixed(1)} ms; turns p99 ${turns.p99Ms.toFixed(1)} ms, ` +
      `longest ${turns.longestMs.toFixed(1)} ms` +
      `${notes.map((note) => `; ${note}`).join("")}\n`,
  );
  for (const failure of failures) process.stderr.write(`  FAILED: ${failure}\n`);
  for (const warning of warnings) process.stderr.write(`  warning: ${warning}\n`);
  return result;
}

async function write(): Promise<void> {
  const text = await readFile(DOCUMENT, "utf8");
  const given = process.argv.slice(2).filter((arg) => arg !== "--write");
  const command = ["npm run test:hostile", ...(given.length > 0 ? ["--", ...given] : [])].join(" ");
  const before = text.slice(0, text.indexOf(BEGIN) + BEGIN.length);
  const part = toMarkdown(results, command);
  await writeFile(DOCUMENT, `${before}\n\n${part}\n${text.slice(text.indexOf(END))}`);
}
