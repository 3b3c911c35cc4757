import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { after } from "node:test";
import { endWithThis } from "../servers/children.ts";
import { waitUntil } from "../servers/process.ts";

/** The command line of this checkout. */
export const LAUNCHER = join(import.meta.dirname, "../../bin/vss.mjs");

/** Deadlines for commands that are not run to see one pass; flags win over them. */
export const PATIENT: Readonly<Record<string, string>> = {
  VSS_STORE_TIMEOUT: "60s",
  VSS_CONNECT_TIMEOUT: "60s",
  VSS_REQUEST_TIMEOUT: "60s",
  VSS_DRAIN_TIMEOUT: "60s",
};

export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The program to run, where it is not this checkout's. */
  readonly launcher?: string;
}

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command under way, in a process of its own. */
export class VssProcess {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #exit: Promise<unknown>;
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], options: RunOptions) {
    const { cwd, env = {}, launcher = LAUNCHER } = options;
    this.#child = spawn(process.execPath, [launcher, ...args], {
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"] ?? "", ...PATIENT, ...env },
    });
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.#exit = once(this.#child, "close");
    endWithThis(this.#child);
    // A test that fails must not wait for its server, which nobody stops any more.
    after(() => this.signal("SIGKILL"));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Whether it is still there; what it said is in `stderr`. */
  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async ended(): Promise<Result> {
    await this.#exit;
    return { code: this.#child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }

  /** The URL that a server says it listens on; where it said so more than once, the last one. */
  async listening(): Promise<string> {
    await waitUntil("a server's first line", () => {
      if (!this.isRunning) throw new Error(`it ended: ${this.stderr}`);
      return /\nTry: .*\n/.test(this.stdout);
    });
    const url = [...this.stdout.matchAll(/Listening on (http:\/\/\S+),/g)].at(-1)?.[1];
    if (url === undefined) throw new Error(`no URL in: ${this.stdout}`);
    return url;
  }
}

/** Runs a command to its end. */
export async function vss(args: readonly string[], options: RunOptions): Promise<Result> {
  return new VssProcess(args, options).ended();
}

/** Starts a server on a free port. */
export async function serve(
  args: readonly string[],
  options: RunOptions,
): Promise<{ readonly server: VssProcess; readonly url: string }> {
  const server = new VssProcess(["--port", "0", ...args], options);
  return { server, url: await server.listening() };
}
