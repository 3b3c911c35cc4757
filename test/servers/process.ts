import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { endWithThis } from "./children.ts";
export { freePort } from "./free-port.ts";

/** A real back end that a test started, and may hurt. */
export interface TestServer {
  /** The store URL, without a prefix. */
  readonly url: string;
  /** Sends a signal to its process or processes: SIGKILL, SIGSTOP, SIGCONT. */
  signal(name: NodeJS.Signals): void;
  /** False once it has ended, by a signal or by itself. */
  readonly isRunning: boolean;
  /** Its process or processes; none of a server that is not the test's own. */
  readonly pids: readonly number[];
  /** Starts it again over the same data after it has ended; answers when it takes connections. */
  restart(): Promise<void>;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

/** Makes a folder of its own below another, which is the system's for such things unless told. */
export async function temporaryFolder(name: string, below = tmpdir()): Promise<string> {
  return mkdtemp(join(below, `vss-test-${name}-`));
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/**
 * Polls until `check` answers true; throws with `what` after `timeoutMs`. That is for what never comes:
 * long enough for a machine that has a tenth of a processor left.
 */
export async function waitUntil(
  what: string,
  check: () => Promise<boolean> | boolean,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await sleep(20);
  }
}

/**
 * Stops a server as SIGSTOP does, and answers once all its threads stand still: the signal reaches them
 * a moment after it was sent, in which some may still answer.
 */
export async function pause(server: Pick<TestServer, "signal" | "pids">): Promise<void> {
  server.signal("SIGSTOP");
  await waitUntil("a server that stands still", async () => {
    const states = await Promise.all(server.pids.map(statesOf));
    return states.flat().every((state) => state === "T");
  });
}

/** The states of a process's threads, as Linux names them. */
async function statesOf(pid: number): Promise<readonly string[]> {
  const folder = `/proc/${pid}/task`;
  const threads = await readdir(folder);
  return Promise.all(
    threads.map(async (thread) => {
      const stat = await readFile(join(folder, thread, "stat"), "utf8").catch(() => "");
      return /\) (\w)/.exec(stat)?.[1] ?? "T";
    }),
  );
}

/** A first start makes a database, which takes a slow disk long. */
const START_TIMEOUT_MS = 120_000;

/** A child process whose output goes to a file, which is shown when it fails to come up. */
export class ServerProcess {
  readonly #command: string;
  readonly #args: readonly string[];
  readonly #logFile: string;
  #child: ChildProcess | undefined;

  constructor(command: string, args: readonly string[], logFile: string) {
    this.#command = command;
    this.#args = args;
    this.#logFile = logFile;
  }

  /** Starts it and polls `isUp`; fails with the end of its log where it exits first. */
  async start(isUp: () => Promise<boolean>): Promise<void> {
    const log = await open(this.#logFile, "a");
    const child = spawn(this.#command, this.#args, {
      stdio: ["ignore", log.fd, log.fd],
      env: { ...process.env, LC_ALL: "C" },
    });
    let failure: Error | undefined;
    child.once("error", (error) => (failure = error));
    this.#child = child;
    endWithThis(child);
    const check = async (): Promise<boolean> => {
      if (failure !== undefined) throw failure;
      const { exitCode, signalCode } = child;
      if (exitCode !== null || signalCode !== null)
        throw new Error(`ended: ${exitCode ?? signalCode}`);
      return isUp();
    };
    try {
      await waitUntil(`start of ${this.#command}`, check, START_TIMEOUT_MS);
    } catch (error) {
      child.kill("SIGKILL");
      const text = await readFile(this.#logFile, "utf8").catch(() => "");
      throw new Error(`${this.#command} did not come up:\n${text.slice(-2000)}`, { cause: error });
    } finally {
      await log.close();
    }
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.#command} is not running`);
    return pid;
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** Waits for the end of the process, wherever the signal for it came from. */
  async ended(): Promise<void> {
    if (this.#child !== undefined && this.isRunning) await once(this.#child, "exit");
  }

  /** False before its start, and once it has ended by itself or by a signal. */
  get isRunning(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  async kill(): Promise<void> {
    this.signal("SIGCONT");
    this.signal("SIGKILL");
    await this.ended();
  }
}
