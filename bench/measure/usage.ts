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
const OWN_AND_CHILDREN = [USER_TICKS, SYSTEM_TICKS, CHILDREN_USER_TICKS, CHILDREN_SYSTEM_TICKS];

/** Of a process and all that it has started; what ends meanwhile does not count. */
export async function usageOf(pid: number): Promise<Usage> {
  const others = (await descendantsOf(pid)).map((one) => usageOfOne(one).catch(() => NONE));
  const usages = await Promise.all([usageOfOne(pid), ...others]);
  return {
    cpuUs: usages.reduce((sum, { cpuUs }) => sum + cpuUs, 0),
    peakBytes: usages.reduce((sum, { peakBytes }) => sum + peakBytes, 0),
  };
}

const NONE: Usage = { cpuUs: 0, peakBytes: 0 };

/**
 * Processor time, in microseconds, of all that a process has started and that still runs. What those
 * have started counts even when it has ended, such as a process that rewrites the log of a back end.
 */
export async function startedCpuUs(pid: number): Promise<number> {
  const times = (await descendantsOf(pid)).map(async (one) => {
    const stat = await readFile(`/proc/${one}/stat`, "utf8").catch(() => undefined);
    return stat === undefined ? 0 : ticksOf(stat, OWN_AND_CHILDREN) * TICK_US;
  });
  return (await Promise.all(times)).reduce((sum, time) => sum + time, 0);
}

async function descendantsOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  const children = text.split(" ").filter(Boolean).map(Number);
  const below = await Promise.all(children.map(descendantsOf));
  return [...children, ...below.flat()];
}

async function usageOfOne(pid: number): Promise<Usage> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, "utf8"),
    readFile(`/proc/${pid}/status`, "utf8"),
  ]);
  return { cpuUs: ticksOf(stat, [USER_TICKS, SYSTEM_TICKS]) * TICK_US, peakBytes: peakOf(status) };
}

/** Lets the peak of a process and all that it has started start over at what they have resident now. */
export async function resetPeak(pid: number): Promise<void> {
  const all = [pid, ...(await descendantsOf(pid))];
  await Promise.all(all.map(async (one) => writeFile(`/proc/${one}/clear_refs`, "5")));
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
