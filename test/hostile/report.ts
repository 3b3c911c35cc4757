import { execFileSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";

import { P99_MARGIN_MS, type Result } from "./run.ts";

const COLUMNS = [
  "scenario",
  "store",
  "what was sent",
  "answers",
  "memory before, MiB",
  "peak",
  "bound",
  "other client's p99 before",
  "during",
  "seen",
] as const;

type Row = Readonly<Record<(typeof COLUMNS)[number], string>>;

function toRow(result: Result): Row {
  const { scenario, tally, beforeMib, peakMib, before, during, notes, failures } = result;
  const refused = during.refused === 0 ? "" : ` (${during.refused} of ${during.requests} refused)`;
  return {
    scenario: scenario.name,
    store: result.store,
    "what was sent": scenario.sent,
    answers: tally.toString(),
    "memory before, MiB": `${Math.round(beforeMib)}`,
    peak: `${Math.round(peakMib)}`,
    bound: `${Math.round(beforeMib + scenario.growth.mebibytes)}`,
    "other client's p99 before": `${before.p99Ms.toFixed(1)} ms`,
    during: `${during.p99Ms.toFixed(1)} ms${refused}`,
    seen: [...notes, ...failures.map((failure) => `**${failure}**`)].join("; "),
  };
}

export function toTable(results: readonly Result[]): string {
  const lines = results
    .map(toRow)
    .map((row) => `| ${COLUMNS.map((column) => row[column]).join(" | ")} |`);
  return [`| ${COLUMNS.join(" | ")} |`, `|${COLUMNS.map(() => " --- |").join("")}`, ...lines].join(
    "\n",
  );
}

/** The part of docs/reliability.md that a run writes. */
export function toMarkdown(results: readonly Result[], command: string): string {
  const [cpu] = cpus();
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  const bounds = results
    .map(({ scenario }) => `- ${scenario.name}: ${scenario.growth.why}.`)
    .join("\n");
  return `Made by \`${command}\` on ${new Date().toISOString().slice(0, 10)}, commit ${commit}, ${
    cpus().length
  } cores (${cpu?.model.trim() ?? "unknown"}), ${Math.round(
    totalmem() / 2 ** 30,
  )} GiB, Linux ${release()}, Node ${process.versions.node}.

${toTable(results)}

A run fails where an answer is not among those that are meant, a 503 does not say when to come back, the
server does not answer a put and a get within a second afterwards, or its memory passes the bound. The
other client's p99 is of what it was served, not of what was refused, and may be twice what it was and ${P99_MARGIN_MS} ms; more is told, and fails nothing, as
other work on the machine makes it too.

What the bound adds to the memory before:

${bounds}
`;
}
