import { execFile } from "node:child_process";
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { removeFolder, temporaryFolder } from "../servers/process.ts";

const run = promisify(execFile);

const PIECE = Buffer.alloc(1 << 20);

/** More than a log holds, and less than data; the limit is on every file of a process. */
const FILE_BYTES_MAX = "1000000";

/**
 * A disk that can be full: a small file system of its own where this process may mount one. Elsewhere
 * the files of the processes that write to it may not grow, which they are told as EFBIG.
 */
export class SmallDisk {
  readonly folder: string;
  readonly isMounted: boolean;

  private constructor(folder: string, isMounted: boolean) {
    this.folder = folder;
    this.isMounted = isMounted;
  }

  static async make(mebibytes: number): Promise<SmallDisk> {
    const folder = await temporaryFolder("disk");
    const args = ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", folder];
    const isMounted = await run("mount", args).then(
      () => true,
      () => false,
    );
    return new SmallDisk(folder, isMounted);
  }

  /** As {@link make} does where nothing may be mounted. */
  static async makeUnmounted(): Promise<SmallDisk> {
    return new SmallDisk(await temporaryFolder("disk"), false);
  }

  /** Leaves no room to the processes, which keep their data here. */
  async fill(pids: readonly number[]): Promise<void> {
    if (!this.isMounted) return limit(pids, FILE_BYTES_MAX);
    const file = await open(this.#ballast, "w");
    try {
      for (;;) await file.write(PIECE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    } finally {
      await file.close();
    }
  }

  async free(pids: readonly number[]): Promise<void> {
    if (this.isMounted) await rm(this.#ballast);
    else await limit(pids, "unlimited");
  }

  async remove(): Promise<void> {
    if (this.isMounted) await run("umount", ["--lazy", this.folder]);
    await removeFolder(this.folder);
  }

  get #ballast(): string {
    return join(this.folder, "ballast");
  }
}

/** Sets the soft limit on the size of files; a process that has ended meanwhile needs none. */
async function limit(pids: readonly number[], size: string): Promise<void> {
  const args = (pid: number): string[] => ["--pid", `${pid}`, `--fsize=${size}:`];
  await Promise.all(pids.map((pid) => run("prlimit", args(pid)).catch(() => {})));
}
