import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LoadContext } from "./load.ts";
import { valueOf } from "./values.ts";
import { faultOf, parseWrkOutput } from "./wrk.ts";

export interface Fill {
  readonly port: number;
  /** Numbers of the first and the last value. */
  readonly first: number;
  readonly last: number;
  /** The key, or what the number of a key is put after. */
  readonly name: string;
  readonly isOneKey: boolean;
  readonly valueBytes: number;
}

const CONNECTIONS = 64;
/** wrk counts whole seconds; it is stopped long before these are over. */
const SECONDS_MAX = 3600;
const STOP_EVERY_MS = 50;
/** Every value is a piece of this text, so that a back end can't pack them small. */
const TEXT = valueOf("filler", 65_536);

export function filledKey(name: string, number: number): string {
  return `${name}${`${number}`.padStart(7, "0")}`;
}

/** What fill.lua puts under a number. */
export function filledValue(key: string, number: number, valueBytes: number): string {
  const head = `${key}#${number} `;
  const start = (number * 7919) % (TEXT.length - valueBytes);
  return `${head}${TEXT.slice(start, start + valueBytes - head.length)}`;
}

/** Throws unless a value is one that fill.lua puts to the key. */
export function checkFilled(key: string, value: string, valueBytes: number): void {
  const number = /#(\d+) /.exec(value)?.[1];
  if (number === undefined || value !== filledValue(key, Number(number), valueBytes)) {
    throw new Error(`${key} holds a value that was never put: ${value.slice(0, 200)}`);
  }
}

/** PUTs many values as fast as they are taken. The last few may be missing, as wrk ends abruptly. */
export async function fill(
  { port, first, last, name, isOneKey, valueBytes }: Fill,
  folder: string,
): Promise<void> {
  const script = join(folder, "fill.lua");
  const text = join(folder, "text");
  const parts = ["fill.lua", "report.lua"].map((file) =>
    readFile(join(import.meta.dirname, file), "utf8"),
  );
  await writeFile(script, (await Promise.all(parts)).join("\n"));
  await writeFile(text, TEXT);
  const shape = ["-t", "1", "-c", `${CONNECTIONS}`, "-d", `${SECONDS_MAX}s`, "--timeout", "30s"];
  const kind = isOneKey ? "one-key" : "many-keys";
  const args = [`${first}`, `${last}`, name, `${valueBytes}`, kind, text];
  const target = ["-s", script, `http://127.0.0.1:${port}/`, "--"];
  const child = spawn("wrk", [...shape, ...target, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const end = (): void => void child.kill("SIGKILL");
  process.once("exit", end);
  let output = "";
  // One signal may come just before wrk goes to sleep for all its seconds, and would not wake it.
  const stopping = setInterval(() => {
    if (output.includes("FILLED\n")) child.kill("SIGINT");
  }, STOP_EVERY_MS);
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  clearInterval(stopping);
  process.removeListener("exit", end);
  if (code !== 0) throw new Error(`wrk ended with ${code}: ${output}`);
  const fault = faultOf({ ...parseWrkOutput(output), generatorCpuUs: 0 });
  if (fault !== undefined) throw new Error(`filling ${name}: ${fault}`);
}

/** Puts what the end of a fill may have left out. */
export async function completeFill(context: LoadContext, plan: Fill): Promise<void> {
  const { surface } = context.contender;
  const { name, first, last, valueBytes } = plan;
  const put = async (key: string, number: number): Promise<void> => {
    await context.client.sendOk(surface.put(key, filledValue(key, number, valueBytes)));
  };
  if (plan.isOneKey) {
    const { status, body } = await context.client.send(surface.get(name));
    const present = status === 404 ? 0 : surface.readPut(body);
    for (let version = present; version < last; version += 1) await put(name, version);
    return;
  }
  for (let number = Math.max(first, last - 2 * CONNECTIONS); number <= last; number += 1) {
    const key = filledKey(name, number);
    const { status } = await context.client.send(surface.get(key));
    if (status === 404) await put(key, number);
  }
}
