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
  "its longest",
  "elsewhere",
  "turns, p99",
  "longest turn",
  "seen",
] as const;

type Row = Readonly<Record<(typeof COLUMNS)[number], string>>;

function toRow(result: Result): Row {
  const { scenario, tally, beforeMib, peakMib, before, during, elsewhere, turns } = result;
  const { notes, failures } = result;
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
    "its longest": `${during.longestMs.toFixed(1)} ms`,
    elsewhere: `${elsewhere.p99Ms.toFixed(1)} ms`,
    "turns, p99": `${turns.p99Ms.toFixed(1)} ms`,
    "longest turn": `${turns.longestMs.toFixed(1)} ms`,
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
server does not answer a put and a get within a second afterwards, or its memory passes the bound. What
delays other clients fails nothing, as other work on the machine makes it too; it is told in six figures, of
several rounds (\`--rounds\`) those of the one in the middle by "during" over "before":

- "before" and "during" are the p99 of a well-behaved client of the server that is attacked, of what it
  was served and not of what was refused; "its longest" is the longest of those during the attack;
- "elsewhere" is that of another such client during the attack, whose server is a process of its own that
  nobody attacks: what the attackers and the other processes take of the processors is in it, and not what
  the attack does to a server. A run warns where "during" is more than twice the larger of the two others
  and ${P99_MARGIN_MS} ms.
- "turns" are those of the event loop of the server that is attacked, collections of garbage and waits for a
  processor among them: 99 of 100 requests that come at any moment wait no longer than the p99 for the turn
  under way. Two turns may pass before a request is answered.

The attackers, both clients and both servers are processes of their own. The attackers, the clients and the
server that nobody attacks share one of the two processors, and the attackers yield to all that is not theirs
there (\`taskset\`, \`chrt\`). The attacked server may use both, for V8 collects garbage in further threads; the
clients and the other server come before it (\`nice\`), as they do on machines of their own.

What the bound adds to the memory before:

${bounds}
`;
}
