import { execFileSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";

import type { Violation } from "../../src/torture/record.ts";
import { FAULTS } from "./faults.ts";
import type { ScenarioResult } from "./scenario.ts";

const COLUMNS = [
  "store",
  "fault",
  "runs",
  "operations",
  "acknowledged",
  "unknown",
  "lost",
  "doubled",
  "holes",
  "violations",
  "longest stall",
  "time to recover",
  "memory",
  "memory before",
] as const;

type Row = Readonly<Record<(typeof COLUMNS)[number], string>>;

/** Those that have a column of their own. */
const COUNTED: readonly Violation["kind"][] = ["lost", "doubled", "hole"];

/** Back after this long, a row is set in bold: a defect to look into, on a machine at rest. */
const RECOVERY_MS_MAX = 2_000;

/** Each once, though both watchers, or several readers of one version, have shown it. */
export function distinct(violations: readonly Violation[]): readonly Violation[] {
  const named = violations.map(
    (each) => [`${each.key} ${each.kind} ${each.message}`, each] as const,
  );
  return [...new Map(named).values()];
}

function countKinds(
  results: readonly ScenarioResult[],
  isCounted: (kind: Violation["kind"]) => boolean,
): number {
  return results
    .flatMap(({ violations }) => distinct(violations))
    .filter(({ kind }) => isCounted(kind)).length;
}

/** One row for all seeds of a store and a fault. */
function toRow(results: readonly ScenarioResult[]): Row {
  const [first] = results;
  if (first === undefined) throw new Error("a row is of some results");
  const sum = (pick: (result: ScenarioResult) => number): string =>
    `${results.reduce((total, result) => total + pick(result), 0)}`;
  const most = (pick: (result: ScenarioResult) => number): number =>
    results.reduce((greatest, result) => Math.max(greatest, pick(result)), 0);
  const recoveryMs = most((result) => result.recoveryMs);
  return {
    store: first.backEnd,
    fault: first.fault,
    runs: `${results.length}`,
    operations: sum(({ calls }) => calls),
    acknowledged: sum(({ acknowledged }) => acknowledged),
    unknown: sum(({ unknown }) => unknown),
    lost: `${countKinds(results, (kind) => kind === "lost")}`,
    doubled: `${countKinds(results, (kind) => kind === "doubled")}`,
    holes: `${countKinds(results, (kind) => kind === "hole")}`,
    violations: `${countKinds(results, (kind) => !COUNTED.includes(kind))}`,
    "longest stall": `${most(({ longestStallMs }) => longestStallMs)} ms`,
    "time to recover": recoveryMs > RECOVERY_MS_MAX ? `**${recoveryMs} ms**` : `${recoveryMs} ms`,
    memory: `${most(({ memoryMax }) => memoryMax)} MiB`,
    "memory before": `${most(({ memoryBefore }) => memoryBefore)} MiB`,
  };
}

export function toRows(results: readonly ScenarioResult[]): readonly Row[] {
  const groups = Map.groupBy(results, ({ backEnd, fault }) => `${backEnd} ${fault}`);
  return [...groups.values()].map(toRow);
}

export function toTable(rows: readonly Row[]): string {
  const lines = rows.map((row) => `| ${COLUMNS.map((column) => row[column]).join(" | ")} |`);
  return [`| ${COLUMNS.join(" | ")} |`, `|${COLUMNS.map(() => " --- |").join("")}`, ...lines].join(
    "\n",
  );
}

/** What runs have to say beside numbers. */
function toNotes(results: readonly ScenarioResult[]): string {
  const lines = results.flatMap(({ backEnd, fault, notes }) =>
    notes.map((note) => `- ${backEnd}, ${fault}: ${note}.\n`),
  );
  const unique = [...new Set(lines)];
  return unique.length === 0 ? "" : `${unique.join("")}\n`;
}

/** The part of docs/reliability.md that a run writes. */
export function toMarkdown(results: readonly ScenarioResult[], command: string): string {
  const faults = FAULTS.map(({ name, what }) => `- \`${name}\`: ${what}.`).join("\n");
  const [cpu] = cpus();
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  return `Made by \`${command}\` on ${new Date().toISOString().slice(0, 10)}, commit ${commit}, ${
    cpus().length
  } cores (${cpu?.model.trim() ?? "unknown"}), ${Math.round(
    totalmem() / 2 ** 30,
  )} GiB, Linux ${release()}, Node ${process.versions.node}.

Each run has three server processes over one back end, nine clients and two watchers; the fault comes
after a third of it. Redis runs with \`appendfsync always\`, MariaDB with
\`innodb_flush_log_at_trx_commit=1\`, MongoDB with \`w: majority\` and journal, SQLite with
\`synchronous=FULL\`. The servers have \`--store-timeout 2s\`.

- "lost" counts versions that somebody was answered and that are gone; "doubled" puts that became two
  versions; "holes" missing numbers; "violations" everything else that was promised: order, values,
  conditions, the feed, moments, answers in time and of the right kind, memory.
- "longest stall" is the longest time in which no call on one of the busiest keys was acknowledged.
- "time to recover" goes from the end of the fault (of a takeover: from the moment the back end has a new
  primary) to the first acknowledged call, or to the end of the last that failed, if that is later.
- "memory" is the largest resident set of a server process, and "memory before" the same until the fault.

${toTable(toRows(results))}

${toNotes(results)}The faults:

${faults}
`;
}
