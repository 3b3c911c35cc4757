import { readFile, writeFile } from "node:fs/promises";

/** What a process has taken so far. */
export interface Usage {
  /** Processor time of all its threads, in microseconds. */
  readonly cpuUs: number;
  /** Most memory it had resident since {@link resetPeak}, in bytes. */
  readonly peakBytes: number;
}

/** Linux counts processor time in hundredths of a second, on every machine that Node runs on. */
const TICK_US = 10_000;

/** Fields of /proc/PID/stat, counted from the first after the name, which may hold blanks. */
const USER_TICKS = 11;
const SYSTEM_TICKS = 12;
const CHILDREN_USER_TICKS = 13;
const CHILDREN_SYSTEM_TICKS = 14;

export async function usageOf(pid: number): Promise<Usage> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, "utf8"),
    readFile(`/proc/${pid}/status`, "utf8"),
  ]);
  return { cpuUs: ticksOf(stat, [USER_TICKS, SYSTEM_TICKS]) * TICK_US, peakBytes: peakOf(status) };
}

/** Lets the peak start over at what the process has resident now. */
export async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, "5");
}

/** Processor time, in microseconds, of all children of this process that have ended. */
export async function endedChildrenCpuUs(): Promise<number> {
  const stat = await readFile("/proc/self/stat", "utf8");
  return ticksOf(stat, [CHILDREN_USER_TICKS, CHILDREN_SYSTEM_TICKS]) * TICK_US;
}

export function ticksOf(stat: string, fields: readonly number[]): number {
  const values = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.reduce((sum, field) => sum + Number(values[field]), 0);
}

export function peakOf(status: string): number {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kibibytes === undefined) throw new Error("/proc/PID/status has no VmHWM");
  return Number(kibibytes) * 1024;
}

/** What a process has resident now, in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kibibytes === undefined) throw new Error("/proc/PID/status has no VmRSS");
  return Number(kibibytes) * 1024;
}
