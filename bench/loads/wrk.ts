import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { endedChildrenCpuUs } from "../measure/usage.ts";
import { toBytes, type WireRequest } from "./wire.ts";

/** What wrk measured in one run. Times are in microseconds. */
export interface WrkResult {
  readonly requests: number;
  readonly durationUs: number;
  /** Received, with headers. */
  readonly bytes: number;
  readonly connectErrors: number;
  readonly readErrors: number;
  readonly writeErrors: number;
  /** Answers above 399. */
  readonly statusErrors: number;
  readonly timeouts: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
  /** Processor time that wrk itself took. */
  readonly generatorCpuUs: number;
}

export interface WrkRun {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  /** A script beside this file. */
  readonly script: "pool" | "cas";
  readonly args: readonly string[];
}

const NUMBERS = [
  "requests",
  "durationUs",
  "bytes",
  "connectErrors",
  "readErrors",
  "writeErrors",
  "statusErrors",
  "timeouts",
  "p50Us",
  "p99Us",
  "p999Us",
  "maxUs",
] as const;

/** Of a load that could not be run. */
export const NO_RESULT: WrkResult = {
  requests: 0,
  durationUs: 1_000_000,
  bytes: 0,
  connectErrors: 0,
  readErrors: 0,
  writeErrors: 0,
  statusErrors: 0,
  timeouts: 0,
  p50Us: 0,
  p99Us: 0,
  p999Us: 0,
  maxUs: 0,
  generatorCpuUs: 0,
};

/**
 * One thread, as the server, its back end and wrk share the machine's cores; it drives more than a
 * Node server can answer.
 */
const THREADS = 1;

/** Runs wrk against a loopback port. `folder` takes the script that is put together for it. */
export async function runWrk(run: WrkRun, folder: string): Promise<WrkResult> {
  const script = join(folder, `${run.script}.lua`);
  const parts = await Promise.all(
    [`${run.script}.lua`, "report.lua"].map((name) =>
      readFile(join(import.meta.dirname, name), "utf8"),
    ),
  );
  await writeFile(script, parts.join("\n"));
  const shape = ["-t", `${THREADS}`, "-c", `${run.connections}`, "-d", `${run.seconds}s`];
  const target = ["-s", script, "--timeout", "10s", `http://127.0.0.1:${run.port}/`, "--"];
  const cpuBefore = await endedChildrenCpuUs();
  const child = spawn("wrk", [...shape, ...target, ...run.args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const end = (): void => void child.kill("SIGKILL");
  process.once("exit", end);
  const [output, errors, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close") as Promise<[number | null]>,
  ]);
  process.removeListener("exit", end);
  if (code !== 0) throw new Error(`wrk ended with ${code}: ${`${errors}\n${output}`.trim()}`);
  const generatorCpuUs = (await endedChildrenCpuUs()) - cpuBefore;
  return { ...parseWrkOutput(output), generatorCpuUs };
}

/** Reads the line that report.lua prints; fails where one of its numbers is missing. */
export function parseWrkOutput(output: string): Omit<WrkResult, "generatorCpuUs"> {
  const line = /^RESULT (\{.*\})$/m.exec(output)?.[1];
  if (line === undefined) throw new Error(`wrk printed no result:\n${output}`);
  const parsed = JSON.parse(line) as Record<string, unknown>;
  const entries = NUMBERS.map((name) => {
    const value = parsed[name];
    if (typeof value !== "number") throw new Error(`wrk's result has no ${name}: ${line}`);
    return [name, value] as const;
  });
  return Object.fromEntries(entries) as Omit<WrkResult, "generatorCpuUs">;
}

/** Why a result can't be counted; undefined where every request was answered below 400. */
export function faultOf(result: WrkResult): string | undefined {
  const faults = [
    [result.statusErrors, "answers above 399"],
    [result.connectErrors, "connections refused"],
    [result.readErrors, "failed reads"],
    [result.writeErrors, "failed writes"],
    [result.timeouts, "timeouts"],
  ] as const;
  const found = faults.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  if (result.requests === 0) found.push("no answers at all");
  return found.length === 0 ? undefined : found.join(", ");
}

/** Writes requests as pool.lua reads them. */
export async function writePool(
  file: string,
  requests: readonly WireRequest[],
  port: number,
): Promise<void> {
  const parts = requests.flatMap((request) => {
    const bytes = toBytes(request, port);
    return [Buffer.from(`${bytes.length}\n`), bytes];
  });
  await writeFile(file, Buffer.concat(parts));
}
