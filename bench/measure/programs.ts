import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { BenchOptions } from "../options.ts";

/** Programs that a run may need, and the Debian package of each. */
const PACKAGES = {
  wrk: "wrk",
  "redis-server": "redis-server",
  webdis: "webdis",
  mariadbd: "mariadb-server",
  etcd: "etcd-server",
  "nats-server": "nats-server",
} as const;

type Program = keyof typeof PACKAGES;

/** What the options need; mongod is fetched where it is missing. */
export function programsFor({ stores, extras, compare }: BenchOptions): readonly Program[] {
  const isComparison = compare.length > 0;
  const needed: Program[] = ["wrk"];
  if (stores.includes("redis")) needed.push("redis-server");
  if (stores.includes("redis") && !isComparison) needed.push("webdis");
  if (stores.includes("mariadb")) needed.push("mariadbd");
  if (extras.includes("peers") && !isComparison) needed.push("etcd", "nats-server");
  return needed;
}

/** A sentence that says what to install; undefined where all is there. */
export async function missingPrograms(
  needed: readonly Program[],
  path: string,
): Promise<string | undefined> {
  const folders = path.split(delimiter);
  const found = await Promise.all(needed.map((program) => isInAny(folders, program)));
  const missing = needed.filter((_, index) => found[index] === false);
  if (missing.length === 0) return undefined;
  const packages = missing.map((program) => PACKAGES[program]).join(" ");
  return (
    `${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} not on the PATH. ` +
    `Run \`apt-get install ${packages}\`, or leave out what needs them with --stores and --only.`
  );
}

async function isInAny(folders: readonly string[], program: string): Promise<boolean> {
  const tries = folders.map(async (folder) => access(join(folder, program), constants.X_OK));
  return (await Promise.allSettled(tries)).some(({ status }) => status === "fulfilled");
}

/** Debian keeps servers where the PATH of plain users does not look. */
export function pathWithSystem(path: string): string {
  return [path, "/usr/sbin", "/usr/local/sbin"].join(delimiter);
}
