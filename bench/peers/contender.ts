import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { createConnection } from "node:net";
import { waitUntil } from "../../test/servers/process.ts";
import { WireClient, type WireRequest } from "../loads/wire.ts";

/** Something that is measured: our server, the bare one, one written by hand, or a peer. */
export interface Contender {
  readonly name: ContenderName;
  readonly port: number;
  /** Its own process: its processor time and memory are reported, with those of its children. */
  readonly pid: number;
  readonly surface: Surface;
  stop(): Promise<void>;
}

/** `base` is the other revision in a comparison, `workers` our server with two processes. */
export type ContenderName =
  | "bare"
  | "ours"
  | "base"
  | "workers"
  | "naive"
  | "webdis"
  | "etcd"
  | "nats";

/** How a contender is asked, and how its answers are read. Undefined: it can't do that. */
export interface Surface {
  readonly put: (key: string, value: string) => WireRequest;
  readonly get: (key: string) => WireRequest;
  /** `version` as `readPut` answered it. */
  readonly getVersion: ((key: string, version: number) => WireRequest) | undefined;
  /** The value in the answer to `get` or `getVersion`. */
  readonly readValue: (body: string) => string;
  /** A number in the answer to `put` that `getVersion` takes. */
  readonly readPut: (body: string) => number;
  /** How many versions a key has: asked before and after a load of writes. */
  readonly count:
    | { readonly ask: (key: string) => WireRequest; readonly read: (body: string) => number }
    | undefined;
  /** The `/-/keys` listing and `?cas=`, which only our own server has. */
  readonly isOurs: boolean;
  /** A fixed answer to everything: nothing can be checked but that it is what was asked for. */
  readonly isCanned: boolean;
}

/** Starts a program and waits until `isUp`: unless told, until it takes connections on its port. */
export async function startProgram(
  command: readonly string[],
  port: number,
  options: {
    readonly cwd?: string;
    readonly ipc?: boolean;
    readonly isUp?: () => Promise<boolean>;
  } = {},
): Promise<ChildProcess> {
  const [file = "", ...args] = command;
  const { cwd = process.cwd(), ipc = false, isUp = () => takesConnections(port) } = options;
  const stdio: StdioOptions = ["ignore", "pipe", "pipe", ...(ipc ? (["ipc"] as const) : [])];
  const child = spawn(file, args, { cwd, stdio });
  const end = (): void => void child.kill("SIGKILL");
  process.once("exit", end);
  child.once("exit", () => process.removeListener("exit", end));
  let failure: Error | undefined;
  child.once("error", (error) => (failure = error));
  let output = "";
  const collect = (chunk: Buffer): void => {
    output = `${output}${chunk.toString()}`.slice(-4000);
  };
  child.stdout?.on("data", collect);
  child.stderr?.on("data", collect);
  try {
    await waitUntil(`start of ${file}`, async () => {
      if (failure !== undefined) throw failure;
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
      return isUp();
    });
  } catch (error) {
    child.kill("SIGKILL");
    throw new Error(`${command.join(" ")} did not come up:\n${output}`, { cause: error });
  }
  return child;
}

/** A Node program of this repository. */
export function nodeProgram(file: string, args: readonly string[]): readonly string[] {
  return [process.execPath, file, ...args];
}

/** Whether something listens on a loopback port. */
async function takesConnections(port: number): Promise<boolean> {
  const socket = createConnection({ port, host: "127.0.0.1" });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Whether a request is answered with a 2xx. */
export async function answersOk(port: number, request: WireRequest): Promise<boolean> {
  const client = new WireClient(port, 1);
  try {
    const { status } = await client.send(request);
    return status >= 200 && status <= 299;
  } catch {
    return false;
  } finally {
    client.close();
  }
}

/** Ends a child by SIGTERM, and by SIGKILL where it takes longer than 10 s. */
export async function stopProgram(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  child.kill("SIGTERM");
  await ended;
  clearTimeout(timer);
}

export function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error("the process did not start");
  return child.pid;
}
