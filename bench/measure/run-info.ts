import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { cpus, loadavg, totalmem } from "node:os";
import { promisify } from "node:util";
import type { GroupFacts } from "../groups.ts";

const run = promisify(execFile);

/** Without these a figure means nothing: what ran, where, when, and how it was told to. */
export interface RunInfo {
  readonly command: string;
  readonly date: string;
  /** With `+` where the working tree held changes. */
  readonly commit: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  /** Of the minute before the run: what else the machine was doing. */
  readonly loadBefore: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly groups: readonly GroupFacts[];
}

/** A machine whose minute before the run was busier than this spoils the figures. */
export const QUIET_LOAD = 0.5;

export async function readRunInfo(
  argv: readonly string[],
  options: { readonly seconds: number; readonly rounds: number },
): Promise<RunInfo> {
  const [commit, changes, kernel, versions] = await Promise.all([
    outputOf(["git", "rev-parse", "--short=10", "HEAD"]),
    outputOf(["git", "status", "--porcelain", "--", "src", "package-lock.json"]),
    readFile("/proc/sys/kernel/osrelease", "utf8"),
    readVersions(),
  ]);
  const all = cpus();
  return {
    command: commandOf(argv),
    date: new Date().toISOString().slice(0, 16).replace("T", " "),
    commit: changes === "" ? commit : `${commit}+`,
    processor: all[0]?.model ?? "unknown",
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: kernel.trim(),
    loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
    seconds: options.seconds,
    rounds: options.rounds,
    versions,
    groups: [],
  };
}

/** The command without the names of files, which change nothing that is measured. */
export function commandOf(argv: readonly string[]): string {
  const files = new Set(["--json", "--against"]);
  const kept = argv.filter((arg, index) => !files.has(arg) && !files.has(argv[index - 1] ?? ""));
  return ["npm run bench", ...(kept.length > 0 ? ["--", ...kept] : [])].join(" ");
}

/** What prints its version, and how it is asked. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  wrk: ["wrk", "--version"],
  etcd: ["etcd", "--version"],
  "nats-server": ["nats-server", "--version"],
  webdis: ["dpkg-query", "--showformat=${Version}", "--show", "webdis"],
};

async function readVersions(): Promise<Readonly<Record<string, string>>> {
  const entries = Object.entries(PROGRAMS).map(async ([name, command]) => {
    const version = /\d+(\.\d+)+/.exec(await outputOf(command))?.[0] ?? "not installed";
    return [name, version] as const;
  });
  return { Node: process.versions.node, ...Object.fromEntries(await Promise.all(entries)) };
}

/** What a program prints, on whichever of its outputs; wrk exits with 1 when asked its version. */
async function outputOf([file = "", ...args]: readonly string[]): Promise<string> {
  try {
    const { stdout, stderr } = await run(file, args);
    return `${stdout}${stderr}`.trim();
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    return `${stdout}${stderr}`.trim();
  }
}
