import { execFile } from "node:child_process";
import { readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { startGroup } from "./groups.ts";
import { LOAD_TITLES } from "./loads/load.ts";
import { runCell, type RunTools } from "./measure/run-cells.ts";
import { OptionsError, type BenchOptions } from "./options.ts";
import { planCells } from "./plan.ts";
import { median, type Cell } from "./report/results.ts";
import { formatCount, formatMs, formatShare, type Table } from "./report/table.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "..");

/**
 * Runs two revisions of our server in turns, each over a place of its own in the same back end. With
 * one revision, the other is the working tree. Answers a row per load, with what got worse.
 */
export async function compareRevisions(options: BenchOptions, tools: RunTools): Promise<Table> {
  const [baseName = "HEAD", oursName] = options.compare;
  const checkouts: string[] = [];
  try {
    const checkOut = async (revision: string): Promise<string> => {
      const path = join(tools.folder, `checkout-${checkouts.length}`);
      await addWorktree(revision, path);
      checkouts.push(path);
      return path;
    };
    const base = await checkOut(baseName);
    const ours = oursName === undefined ? undefined : await checkOut(oursName);
    const rows: string[][] = [];
    for (const store of options.stores) {
      const group = await startGroup(store, { base, ours });
      try {
        for (const plan of planCells(options)) {
          rows.push(comparisonRow(await runCell(group, plan, tools)));
        }
      } finally {
        await group.stop();
      }
    }
    const names = [baseName, oursName ?? "working tree"];
    const [a = "", b = ""] = names;
    return {
      headers: ["", a, b, "ratio", "of rounds", "p99 ms", "CPU", "worse"],
      rows,
    };
  } finally {
    for (const path of checkouts) await run("git", ["worktree", "remove", "--force", path]);
  }
}

async function addWorktree(revision: string, path: string): Promise<void> {
  // Forgets checkouts of runs that were interrupted: their folders are gone.
  await run("git", ["worktree", "prune"], { cwd: ROOT });
  try {
    await run("git", ["worktree", "add", "--detach", path, revision], { cwd: ROOT });
  } catch (error) {
    throw new OptionsError(`"${revision}" is no revision of this repository.`, { cause: error });
  }
  const [theirs, ours] = await Promise.all(
    [path, ROOT].map((folder) => readFile(join(folder, "package-lock.json"), "utf8")),
  );
  if (theirs === ours) await symlink(join(ROOT, "node_modules"), join(path, "node_modules"));
  else await run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: path });
}

/** Changes smaller than this are not told from what the machine does anyway. */
const NOISE = 0.03;

export function comparisonRow(cells: readonly Cell[]): string[] {
  const base = cells.find(({ contender }) => contender === "base");
  const ours = cells.find(({ contender }) => contender === "ours");
  if (base === undefined || ours === undefined) throw new Error("a revision was not measured");
  const ratios = ours.rates.map((rate, round) => rate / (base.rates[round] ?? Number.NaN));
  const losses = {
    rate: 1 - median(ratios),
    p99: ours.p99Us / base.p99Us - 1,
    CPU: ours.cpuSecondsPerMillion / base.cpuSecondsPerMillion - 1,
    memory: ours.peakMiB / base.peakMiB - 1,
  };
  const worse = Object.entries(losses).filter(([, loss]) => loss > NOISE);
  return [
    `${ours.group}, ${LOAD_TITLES[ours.load]}, ${ours.connections} conn., ${ours.valueBytes} B`,
    formatCount(base.rate),
    formatCount(ours.rate),
    formatShare(median(ratios)),
    `${formatShare(Math.min(...ratios))}–${formatShare(Math.max(...ratios))}`,
    `${formatMs(base.p99Us)} → ${formatMs(ours.p99Us)}`,
    `${formatCount(base.cpuSecondsPerMillion)} → ${formatCount(ours.cpuSecondsPerMillion)}`,
    worse.map(([what, loss]) => `${what} by ${Math.round(loss * 100)} %`).join(", "),
  ];
}
