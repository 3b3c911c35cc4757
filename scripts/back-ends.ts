import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
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
  if (names.length > 0) installPackages(names);
  const needsMongod = chosen.some((store) => store.startsWith("mongodb"));
  if (needsMongod && process.env["VSS_TEST_MONGODB_URL"] === undefined) await ensureMongod();
}

function installPackages(names: readonly string[]): void {
  const command = `apt-get install -y --no-install-recommends ${names.join(" ")}`;
  if (process.getuid?.() !== 0 || !isOnPath("apt-get")) {
    throw new Error(
      `The tests need ${names.join(" and ")}. On Debian run: sudo ${command}\n` +
        "Or narrow them, as in: STORES=memory,sqlite npm test",
    );
  }
  process.stdout.write(`Installing ${names.join(" and ")} for the tests (apt-get), once.\n`);
  const wait = ["-qq", "-o", "DPkg::Lock::Timeout=300"];
  runApt([...wait, "update"]);
  runApt([...wait, "install", "-y", "--no-install-recommends", ...names]);
}

function runApt(args: readonly string[]): void {
  const result = spawnSync("apt-get", args, {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
  if (result.status !== 0) throw new Error(`apt-get ${args.join(" ")} failed; see above.`);
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
