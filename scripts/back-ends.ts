import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { STORE_NAMES, type StoreName } from "../test/servers/selection.ts";
import { ensureMongod } from "./mongod.ts";

/** Debian's packages that hold what the tests of a store need; any one of the commands will do. */
const PACKAGES: readonly {
  readonly stores: readonly StoreName[];
  readonly commands: readonly string[];
  readonly name: string;
  /** A server that is already there, so that none has to be installed. */
  readonly variable?: string;
}[] = [
  { stores: ["sqlite"], commands: ["strace"], name: "strace" },
  {
    stores: ["redis", "redis-cluster"],
    commands: ["redis-server"],
    name: "redis-server",
    variable: "VSS_TEST_REDIS_URL",
  },
  {
    stores: ["mariadb"],
    commands: ["mariadbd", "mysqld"],
    name: "mariadb-server",
    variable: "VSS_TEST_MYSQL_URL",
  },
];

/** Administrators' folders are not on everyone's PATH, and Debian puts mariadbd there. */
export function pathWithServers(): string {
  return [process.env["PATH"] ?? "", "/usr/local/sbin", "/usr/sbin"].join(delimiter);
}

/** The stores to test: all, or those that the variable `STORES` names. */
export function chosenStores(): readonly StoreName[] {
  const wanted = (process.env["STORES"] ?? "").split(",").filter((name) => name !== "");
  return STORE_NAMES.filter((name) => wanted.length === 0 || wanted.includes(name));
}

/**
 * Makes sure of a real server for each of these stores, and of further packages that the caller
 * misses, or throws with what to do.
 */
export async function ensureBackEnds(
  chosen: readonly StoreName[],
  further: readonly string[] = [],
): Promise<void> {
  const missing = PACKAGES.filter(
    ({ stores, commands, variable }) =>
      stores.some((store) => chosen.includes(store)) &&
      (variable === undefined || process.env[variable] === undefined) &&
      !commands.some(isOnPath),
  );
  const names = [...missing.map(({ name }) => name), ...further];
  if (names.length > 0) await installPackages(names);
  const needsMongod = chosen.some((store) => store.startsWith("mongodb"));
  if (needsMongod && process.env["VSS_TEST_MONGODB_URL"] === undefined) await ensureMongod();
}

async function installPackages(names: readonly string[]): Promise<void> {
  const command = `apt-get install -y --no-install-recommends ${names.join(" ")}`;
  if (process.getuid?.() !== 0 || !isOnPath("apt-get")) {
    throw new Error(
      `The tests need ${names.join(" and ")}. On Debian run: sudo ${command}\n` +
        "Or narrow them, as in: STORES=memory,sqlite npm test",
    );
  }
  process.stdout.write(`Installing ${names.join(" and ")} for the tests (apt-get), once.\n`);
  const quiet = ["-qq", "-o", "Acquire::Retries=3"];
  await runApt([...quiet, "update"]);
  await runApt([...quiet, "install", "-y", "--no-install-recommends", ...names]);
}

/** How long others may keep apt's locks. */
const LOCK_TIMEOUT_MS = 300_000;
const LOCK_RETRY_MS = 1_000;

/** Waits for whoever has a lock: apt's own setting for that is of dpkg's lock alone, not of the lists'. */
async function runApt(args: readonly string[]): Promise<void> {
  const deadline = performance.now() + LOCK_TIMEOUT_MS;
  for (;;) {
    const { status, stderr } = spawnSync("apt-get", args, {
      stdio: ["ignore", "ignore", "pipe"],
      encoding: "utf8",
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
    });
    if (status === 0) return;
    if (!/Could not get lock|Unable to lock/.test(stderr) || performance.now() > deadline) {
      throw new Error(`apt-get ${args.join(" ")} failed:\n${stderr}`);
    }
    await sleep(LOCK_RETRY_MS);
  }
}

function isOnPath(name: string): boolean {
  return pathWithServers()
    .split(delimiter)
    .some((folder) => folder !== "" && isExecutable(join(folder, name)));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
