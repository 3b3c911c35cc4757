import { existsSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { removeFolder, temporaryFolder } from "../test/servers/process.ts";
import { compareRevisions } from "./compare.ts";
import { missingPrograms, pathWithSystem, programsFor } from "./measure/programs.ts";
import { QUIET_LOAD, readRunInfo } from "./measure/run-info.ts";
import { WrongAnswer, type RunTools } from "./measure/run-cells.ts";
import { isWhole, OptionsError, parseOptions, USAGE, type BenchOptions } from "./options.ts";
import { againstTable } from "./report/against.ts";
import { CHART_FOLDER, chartsOf, drawCharts } from "./report/charts.ts";
import { renderPage } from "./report/page.ts";
import {
  EMPTY_RESULT,
  mergeResults,
  readResult,
  RESULT_FILE,
  writeResult,
  type BenchResult,
} from "./report/result-file.ts";
import { summarize } from "./report/summary.ts";
import { toText } from "./report/table.ts";
import { runBench } from "./run.ts";

const DOCS = join(import.meta.dirname, "..", "docs");

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof OptionsError || error instanceof WrongAnswer)) throw error;
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = error instanceof OptionsError ? 2 : 1;
}

async function main(argv: readonly string[]): Promise<void> {
  const options = parseOptions(argv);
  if (options.help) {
    process.stdout.write(USAGE);
    return;
  }
  process.env["PATH"] = pathWithSystem(process.env["PATH"] ?? "");
  const missing = await missingPrograms(programsFor(options), process.env["PATH"]);
  if (missing !== undefined) throw new OptionsError(missing);
  const folder = await temporaryFolder("bench");
  // Back ends make their folders in it, too, so that nothing is left of a run that is interrupted.
  process.env["TMPDIR"] = folder;
  const interrupt = (code: number): void => {
    // An exit ends the children, by listeners that were there before this one.
    process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
    process.exit(code);
  };
  process.once("SIGINT", () => interrupt(130));
  process.once("SIGTERM", () => interrupt(143));
  try {
    await run(argv, options, folder);
  } finally {
    await removeFolder(folder);
  }
}

async function run(argv: readonly string[], options: BenchOptions, folder: string): Promise<void> {
  const tools = makeTools(options.seconds, folder);
  const info = await readRunInfo(argv, options);
  if (info.loadBefore > QUIET_LOAD) {
    tools.say(
      `The machine is busy (load ${info.loadBefore}): these figures will not be worth much.`,
    );
  }
  if (options.compare.length > 0) {
    tools.say(toText(await compareRevisions(options, tools)));
    return;
  }
  // Read first: a name that is wrong should not cost a whole run.
  const earlier = options.against === undefined ? undefined : await readEarlier(options.against);
  const result = await runBench(options, info, tools);
  tools.say(`\n${summarize(result)}`);
  if (options.json !== undefined) await writeResult(options.json, result);
  if (earlier !== undefined) tools.say(`\n${toText(againstTable(earlier, result))}`);
  if (!isWhole(options)) return;
  const kept = mergeResults(await readKept(), result);
  const charts = chartsOf(kept);
  await writeResult(RESULT_FILE, kept);
  await drawCharts(charts, join(DOCS, CHART_FOLDER));
  await writeFile(join(DOCS, "benchmarks.md"), renderPage(kept, charts));
  tools.say("\nWritten: docs/benchmarks.md, docs/benchmarks.json and the charts beside them.");
}

/** What earlier runs left; nothing where this is the first. */
async function readKept(): Promise<BenchResult> {
  return existsSync(RESULT_FILE) ? readResult(RESULT_FILE) : EMPTY_RESULT;
}

async function readEarlier(file: string): Promise<BenchResult> {
  try {
    return await readResult(file);
  } catch (error) {
    throw new OptionsError(`--against: ${file} is no result of a run.`, { cause: error });
  }
}

function makeTools(seconds: number, folder: string): RunTools {
  let seed = 0;
  const nextSeed = (): number => {
    seed += 1;
    return seed;
  };
  return { seconds, folder, nextSeed, say: (line) => void process.stdout.write(`${line}\n`) };
}
