import { constants } from "node:fs";
import { access, mkdir, open, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";

import { StateError, type ErrorCode } from "../../errors.ts";
import type { Setting } from "../../store.ts";

/** Below this much room, the store says so at its start. */
const FREE_BYTES_LOW = 256 * 1024 * 1024;

/**
 * Makes the file's folder, and refuses what SQLite would not name as clearly. Creates nothing where it
 * refuses. It never opens the file: closing it again would let go of the locks that another store in
 * this process has on it, and another process might then remove the log under it.
 */
export async function prepareFile(file: string): Promise<void> {
  try {
    if (await checkExisting(file)) return;
    await makeFolder(dirname(file));
    await access(dirname(file), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw error instanceof StateError ? error : toStateError(error);
  }
}

/**
 * Makes a folder, and those above it, such that they outlive a loss of power. One by one: Node's own
 * recursive `mkdir` never ends where a file system answers ENOENT for a new folder, as /proc does.
 */
async function makeFolder(folder: string): Promise<void> {
  const missing: string[] = [];
  for (let path = folder; !(await exists(path)); path = dirname(path)) missing.unshift(path);
  for (const path of missing) {
    await mkdir(path).catch((error: unknown) => {
      // Another process that starts now has been faster.
      if (systemCodeOf(error) !== "EEXIST") throw error;
    });
    // A new folder is an entry of the one above it. SQLite sees to the entries of its own files.
    await using parent = await open(dirname(path), "r");
    await parent.sync();
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    (error: unknown) => {
      if (systemCodeOf(error) === "ENOENT") return false;
      throw error;
    },
  );
}

/** Answers whether there is a file. */
async function checkExisting(file: string): Promise<boolean> {
  const found = await stat(file).catch((error: unknown) => {
    if (systemCodeOf(error) === "ENOENT") return undefined;
    throw error;
  });
  if (found === undefined) return false;
  if (!found.isFile()) {
    throw new StateError("invalid_parameter", "The store's URL names a folder, not a file.", {
      details: { parameter: "store" },
    });
  }
  await access(file, constants.R_OK | constants.W_OK);
  await access(dirname(file), constants.W_OK | constants.X_OK);
  return true;
}

const SYSTEM_CODES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  EACCES: ["store_denied", "This user may not write to the database file or its folder."],
  EPERM: ["store_denied", "This user may not write to the database file or its folder."],
  EROFS: ["store_read_only", "The database file's disk is read-only."],
  ENOSPC: ["store_full", "The disk is full."],
  ENOTDIR: ["invalid_parameter", "The database file's folder is below a file."],
  ENOENT: ["invalid_parameter", "The database file's folder cannot be made."],
  ENAMETOOLONG: ["invalid_parameter", "The database file's name is too long."],
};

function toStateError(error: unknown): StateError {
  const code = systemCodeOf(error) ?? "";
  const known = Object.hasOwn(SYSTEM_CODES, code) ? SYSTEM_CODES[code] : undefined;
  const [stateCode, what] = known ?? [
    "store_unavailable" as const,
    `The database file cannot be opened (${code}).`,
  ];
  return new StateError(
    stateCode,
    `${what} Choose another file, or change what stands in its way.`,
    {
      cause: error,
      ...(stateCode === "invalid_parameter" ? { details: { parameter: "store" } } : {}),
    },
  );
}

function systemCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return String(error.code);
}

/** File systems by the number that Linux gives them; no other system's numbers are among these. */
const FILE_SYSTEMS: Readonly<Record<number, Omit<Setting, "name">>> = {
  0xef53: { value: "ext4", verdict: "ok" },
  0x58465342: { value: "xfs", verdict: "ok" },
  0x9123683e: { value: "btrfs", verdict: "ok" },
  0x2fc12fc1: { value: "zfs", verdict: "ok" },
  0xf2f52010: { value: "f2fs", verdict: "ok" },
  0x794c7630: {
    value: "overlay",
    verdict: "weak",
    advice: "A container's own disk goes away with it. Put the file on a volume.",
  },
  0x01021994: inMemory("tmpfs"),
  0x858458f6: inMemory("ramfs"),
  0x6969: onNetwork("nfs"),
  0xff534d42: onNetwork("cifs"),
  0xfe534d42: onNetwork("smb"),
  0x01021997: onNetwork("9p"),
  0x65735546: {
    value: "fuse",
    verdict: "unknown",
    advice: "Whether it keeps what it is told to, and locks files, depends on what is mounted.",
  },
};

function inMemory(value: string): Omit<Setting, "name"> {
  const advice = "It is memory: a restart of the machine loses everything. Use a disk.";
  return { value, verdict: "weak", advice };
}

function onNetwork(value: string): Omit<Setting, "name"> {
  const advice =
    "SQLite's locks and shared memory do not work over a network: the file can be damaged. " +
    "Use a local disk, or one of the database servers.";
  return { value, verdict: "weak", advice };
}

/** What the file's disk is, and how much room it has. */
export async function describeDisk(file: string): Promise<readonly Setting[]> {
  const { type, bavail, bsize } = await statfs(dirname(file));
  const known = FILE_SYSTEMS[type] ?? {
    value: `type 0x${type.toString(16)}`,
    verdict: "unknown" as const,
    advice: "This file system is not known here. It must be local and honour fsync.",
  };
  const freeBytes = bavail * bsize;
  const isLow = freeBytes < FREE_BYTES_LOW;
  return [
    { name: "file_system", ...known },
    {
      name: "free_space",
      value: `${Math.floor(freeBytes / 1024 / 1024)} MiB`,
      verdict: isLow ? "weak" : "ok",
      ...(isLow ? { advice: "Writes are refused once the disk is full. Make room." } : {}),
    },
  ];
}
