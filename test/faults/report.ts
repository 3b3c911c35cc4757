import { execFileSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";

import type { Violation } from "../../src/torture/record.ts";
import { FAULTS } from "./faults.ts";
import type { ScenarioResult } from "./scenario.ts";

const COLUMNS = [
  "store",
  "fault",
  "seeds",
  "calls",
  "acknowledged",
  "unknown",
  "lost",
  "doubled",
  "holes",
  "out of order",
  "other",
  "longest stall",
  "back after",
  "memory",
] as const;

type Row = Readonly<Record<(typeof COLUMNS)[number], string>>;

function countKinds(
  results: readonly ScenarioResult[],
  kinds: readonly Violation["kind"][],
): number {
  return results.flatMap(({ violations }) => violations).filter(({ kind }) => kinds.includes(kind))
    .length;
}

/** One row for all seeds of a store and a fault. */
function toRow(results: readonly ScenarioResult[]): Row {
  const [first] = results;
  if (first === undefined) throw new Error("a row is of some results");
  const sum = (pick: (result: ScenarioResult) => number): string =>
    `${results.reduce((total, result) => total + pick(result), 0)}`;
  const most = (pick: (result: ScenarioResult) => number): number =>
    results.reduce((greatest, result) => Math.max(greatest, pick(result)), 0);
  return {
    store: first.backEnd,
    fault: first.fault,
    seeds: `${results.length}`,
    calls: sum(({ calls }) => calls),
    acknowledged: sum(({ acknowledged }) => acknowledged),
    unknown: sum(({ unknown }) => unknown),
    lost: `${countKinds(results, ["lost"])}`,
    doubled: `${countKinds(results, ["doubled"])}`,
    holes: `${countKinds(results, ["hole"])}`,
    "out of order": `${countKinds(results, ["order"])}`,
    other: `${countKinds(results, ["changed", "phantom", "condition", "feed", "delete"])}`,
    "longest stall": `${most(({ longestStallMs }) => longestStallMs)} ms`,
    "back after": `${most(({ recoveryMs }) => recoveryMs)} ms`,
    memory: `${most(({ memoryMax }) => memoryMax)} MiB`,
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
\`synchronous=FULL\`. "Longest stall" is the longest time in which no call of any client was
acknowledged, "back after" the time from the end of the fault to the next acknowledged call, "memory"
the largest resident set of a server process.

${toTable(toRows(results))}

The faults:

${faults}
`;
}
