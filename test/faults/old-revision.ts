import { execFile } from "node:child_process";
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

const ROOT = join(import.meta.dirname, "../..");

/**
 * A commit whose stores have the layout and the feed positions that they have now. Whoever changes
 * these names a later one here, or shows that the two may meet.
 */
const OLD_COMMIT = "bd26e1c58e654e2bb61d8f2b6818ccdebbbdd6bb";

export interface OldRevision {
  /** The entry of the old program. */
  readonly main: string;
  readonly args: readonly string[];
  /** What it is, for the report. */
  readonly what: string;
}

/**
 * The program as it was at an earlier commit, unpacked into a folder. A clone without history does not
 * have it: there, this revision with other flags stands in, and says so.
 */
export async function unpackOldRevision(folder: string): Promise<OldRevision> {
  const target = join(folder, "old");
  await mkdir(target);
  const git = (...args: string[]): Promise<unknown> => run("git", ["-C", ROOT, ...args]);
  const archive = join(folder, "old.tar");
  try {
    await git("archive", "--output", archive, OLD_COMMIT, "src", "package.json");
  } catch {
    return {
      main: join(ROOT, "src/cli/main.ts"),
      args: ["--workers", "2", "--log-requests"],
      what: "this revision with `--workers 2`, for this clone lacks the older commit",
    };
  }
  await run("tar", ["-xf", archive, "-C", target]);
  await symlink(join(ROOT, "node_modules"), join(target, "node_modules"));
  const what = `commit ${OLD_COMMIT.slice(0, 7)}`;
  return { main: join(target, "src/cli/main.ts"), args: [], what };
}
