import type { RunInfo } from "../measure/run-info.ts";
import { QUIET_LOAD } from "../measure/run-info.ts";
import { STORE_NAMES } from "../options.ts";
import { LOAD_TITLES } from "../loads/load.ts";
import { CHART_FOLDER, type Chart } from "./charts.ts";
import {
  deleteTable,
  growthCpuTable,
  growthTable,
  judgeDeletes,
  judgeGrowth,
  judgeWatch,
  sizesTable,
  watchTable,
} from "./growth-tables.ts";
import {
  byLoad,
  contenderTable,
  faultLines,
  matrixTable,
  overviewTable,
  targetTable,
  workersTable,
} from "./load-tables.ts";
import { IN_THE_WAY } from "./in-the-way.ts";
import { CONTENDER_NOTES } from "./notes.ts";
import type { BenchResult, Part } from "./result-file.ts";
import type { Cell } from "./results.ts";
import { toMarkdown } from "./table.ts";
import {
  hasCoresToSpare,
  judgeTargets,
  judgeWorkers,
  WORKERS_TIMES,
  type Target,
} from "./targets.ts";

/** Which file the page shows as a chart, where it has one. */
type ChartLine = (file: string) => readonly string[];

/** docs/benchmarks.md, whole: everything in it comes from the result. */
export function renderPage(result: BenchResult, charts: readonly Chart[]): string {
  const chart: ChartLine = (file) => {
    const found = charts.find((one) => one.file === file);
    return found === undefined ? [] : [`![${found.title}](${CHART_FOLDER}/${file})`];
  };
  const sections = [
    intro(),
    ...(result.loads === undefined ? [] : loadSections(result.loads, chart)),
    ...(result.matrix === undefined ? [] : matrixSection(result, result.matrix, chart)),
    ...(result.workers === undefined ? [] : workersSection(result.workers)),
    ...(result.watch === undefined ? [] : watchSection(result.watch, chart)),
    ...(result.growth === undefined ? [] : growthSection(result.growth, chart)),
    ...(result.deletes === undefined ? [] : deleteSection(result.deletes)),
    targetSection(result),
    besideSection(),
  ];
  return `${sections.join("\n\n")}\n`;
}

function intro(): string {
  return `# Benchmarks

This page is written by \`npm run bench\`; edit nothing here. The figures behind it are in
[benchmarks.json](benchmarks.json).

How to read it:

- The server, the back end and wrk, the load generator, share one machine and its cores. So the figure
  that travels is the **share**: of the rate of a bare \`node:http\` server, which answers the very bytes
  that ours answered and keeps nothing, measured in turns with it, round by round.
- Each load first runs for a second that is not counted, the first GETs and PUTs for four: until the
  compiler of the JavaScript engine has come to rest.
- Before each round the run waits until all that it has started is at rest, for 20 seconds at most:
  what a back end leaves for later, such as a checkpoint, does not fall on whoever is measured next.
- wrk sends the next request of a connection when the one before is answered. Its latencies are those of a
  busy server, not of a given rate of requests.
- Every answer above 399, every broken connection and every timeout fails the run where it is ours. While
  a load runs, and after it, a sample of bodies is compared with what was put. After a load of PUTs the
  versions of its keys are counted: as many as were answered, and no more than were sent.
- Keys are picked at random, values are text that does not pack. "One key" is the hardest case: all
  connections write versions 1, 2, 3 … of it.`;
}

function runLines({ run }: Part<unknown>): string {
  const versions = Object.entries(run.versions).map(([name, version]) => `${name} ${version}`);
  const busy = run.loadBefore > QUIET_LOAD ? " (**busy: do not trust these figures**)" : "";
  return [
    `- Command: \`${run.command}\`, ${run.rounds} × ${run.seconds} s, ${run.date} UTC, commit ${run.commit}`,
    `- Machine: ${run.cores} cores of ${run.processor}, ${run.memoryGiB} GiB, Linux ${run.kernel}, load before the run ${run.loadBefore}${busy}`,
    `- Versions: ${versions.join(", ")}`,
  ].join("\n");
}

function backEndLines({ groups }: RunInfo): string {
  const lines = groups.map(({ name, product, settings, promise }) =>
    name === "peers" ? `- peers: ${settings}` : `- ${name}: ${product}; ${settings}. ${promise}`,
  );
  return lines.join("\n");
}

function loadSections(part: Part<Cell>, chart: ChartLine): readonly string[] {
  const busy = part.rows.filter(({ connections }) => connections > 1);
  const alone = part.rows.filter(({ connections }) => connections === 1);
  const faults = faultLines(part.rows);
  return [
    `## Our server on every store\n\n64 connections, 100-byte values, one server process.`,
    toMarkdown(overviewTable(part.rows)),
    ...chart("shares.svg"),
    ...chart("latency.svg"),
    runLines(part),
    `What an acknowledged write survives, by store:\n\n${backEndLines(part.run)}`,
    `## Beside others\n\n64 connections, 100-byte values. "wrk's core" is what the load generator took of one core: near 100 % it is the limit, not the server.`,
    ...byLoad(busy).flatMap(({ load, cells }) => [
      `### ${LOAD_TITLES[load]}`,
      toMarkdown(contenderTable(cells)),
    ]),
    ...(alone.length === 0 ? [] : ["## One connection"]),
    ...byLoad(alone).flatMap(({ load, cells }) => [
      `### ${LOAD_TITLES[load]}, one at a time`,
      toMarkdown(contenderTable(cells)),
    ]),
    ...(faults.length === 0
      ? []
      : [`What went wrong in this run:\n\n${faults.map((line) => `- ${line}`).join("\n")}`]),
  ];
}

function matrixSection(
  { loads }: BenchResult,
  part: Part<Cell>,
  chart: ChartLine,
): readonly string[] {
  const cells = [...(loads?.rows ?? []), ...part.rows];
  return [
    "## Sizes of values, numbers of connections",
    ...chart("connections.svg"),
    ...(["get", "put"] as const).flatMap((load) => [
      `### ${LOAD_TITLES[load]}`,
      toMarkdown(matrixTable(cells, load)),
    ]),
    runLines(part),
  ];
}

function workersSection(part: Part<Cell>): readonly string[] {
  const { cores } = part.run;
  const spare = hasCoresToSpare(part.run)
    ? ""
    : ` This machine has ${cores} cores, which wrk and the back end want too: nothing is left for a
second process, and what is aimed for, ${WORKERS_TIMES} times on a machine with cores to spare, can't be judged here.`;
  return [
    `## Two processes behind one port

\`vss serve --workers 2\` beside one process, 64 connections, 100-byte values.${spare}`,
    toMarkdown(workersTable(part.rows)),
    runLines(part),
  ];
}

function watchSection(
  part: NonNullable<BenchResult["watch"]>,
  chart: ChartLine,
): readonly string[] {
  return [
    `## Watch: one writer, many watchers of its key

The time from sending a PUT to the arrival of its event, over all watchers. On all stores but memory the
PUT goes to one process of this server and the watchers are connected to another. They are sockets of one
process on the same machine, and what it takes to read them all is part of the time. Every watcher must
get every version once and in order.`,
    toMarkdown(watchTable(part.rows)),
    ...chart("watch.svg"),
    runLines(part),
  ];
}

function growthSection(
  part: NonNullable<BenchResult["growth"]>,
  chart: ChartLine,
): readonly string[] {
  return [
    `## Growth

The same operation as keys and versions grow, 64 connections, 100-byte values.

- All sizes are there before the first is measured, in one back end: each number of keys in a place of its
  own, with a server of its own. They are then measured in turns, round by round. How many times slower
  an operation becomes, which is judged below, is the median of the ratios of single rounds, at the size
  where it is worst.
- At each size as many different requests are sent, so that caches remember as much of each: a list is
  one of ten pages; a version is one of 5,000, and a page of history one of 500, all of one key, or at ten
  versions of 500 keys. GET and PUT pick from 5,000 random keys; where there are only 1,000 keys, from
  those, which is harder for the larger sizes.
- GET latest and PUT as versions grow are of one key. Each round of PUTs finds a key of just so many
  versions; the one of a million is the same in all rounds, and grows by what they put.

Answers per second, and the share of the bare server:`,
    toMarkdown(growthTable(part.rows, "keys")),
    toMarkdown(growthTable(part.rows, "versions")),
    `Processor time of a request in microseconds, of our server and the back end together, and how many times
that of the smallest size it is. Waiting, for a processor or for a disk, is no part of it:`,
    toMarkdown(growthCpuTable(part.rows, "keys")),
    toMarkdown(growthCpuTable(part.rows, "versions")),
    ...chart("growth.svg"),
    `What a version of 100 bytes takes in the store, with its key, index and feed, and the most memory that
our process had resident while it was measured:`,
    toMarkdown(sizesTable(part.rows)),
    runLines(part),
  ];
}

function deleteSection(part: NonNullable<BenchResult["deletes"]>): readonly string[] {
  return [
    `## DELETE of a long history

Others read short keys over 4 connections meanwhile: how long the DELETE took, and the longest of them,
with it and just before it.`,
    toMarkdown(deleteTable(part.rows)),
    runLines(part),
  ];
}

function targetSection(result: BenchResult): string {
  const targets: readonly Target[] = [
    ...judgeTargets([...(result.loads?.rows ?? []), ...(result.matrix?.rows ?? [])]),
    ...judgeWorkers(result.workers),
    ...judgeGrowth(result.growth?.rows ?? []),
    ...judgeWatch(result.watch?.rows ?? []),
    ...judgeDeletes(result.deletes?.rows ?? []),
  ];
  const missed = targets.filter(({ isMet }) => !isMet);
  return [
    `## What is aimed for\n\n${targets.length - missed.length} of ${targets.length} figures are met.`,
    toMarkdown(targetTable(targets)),
    ...inTheWay(missed),
  ].join("\n\n");
}

function inTheWay(missed: readonly Target[]): readonly string[] {
  const stores = STORE_NAMES.filter((name) => missed.some(({ store }) => store === name));
  if (stores.length === 0) return [];
  const lines = stores.map((store) => `- **${store}**: ${IN_THE_WAY[store]}`);
  return [`What profiles show in the way of those that are missed:\n\n${lines.join("\n")}`];
}

function besideSection(): string {
  const lines = Object.entries(CONTENDER_NOTES)
    .filter(([name]) => name !== "base")
    .map(([name, note]) => `- **${name}**: ${note}`);
  return `## What stands beside us\n\n${lines.join("\n")}`;
}
