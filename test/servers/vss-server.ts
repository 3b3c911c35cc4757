import { join } from "node:path";

import { freePort, ServerProcess, temporaryFolder, removeFolder } from "./process.ts";

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");

export interface VssServerOptions {
  readonly store: string;
  /** Further arguments, such as `["--store-timeout", "2s"]`. */
  readonly args?: readonly string[];
  /** Runs the server under another program, such as `["faketime", "-f", "+1h"]`. */
  readonly under?: readonly string[];
  /** The program's entry, where it is not this revision's. */
  readonly main?: string;
}

/** One server process of ours, on a port that stays the same over restarts. */
export class VssServer {
  readonly url: string;
  readonly #folder: string;
  readonly #process: ServerProcess;

  private constructor(url: string, folder: string, process: ServerProcess) {
    this.url = url;
    this.#folder = folder;
    this.#process = process;
  }

  static async start(options: VssServerOptions): Promise<VssServer> {
    const { store, args = [], under = [], main = MAIN } = options;
    const folder = await temporaryFolder("server");
    const port = await freePort();
    const serve = [main, "serve", "--store", store, "--port", `${port}`, ...args];
    const [command = process.execPath, ...rest] = [...under, process.execPath, ...serve];
    const child = new ServerProcess(command, rest, join(folder, "server.log"));
    const server = new VssServer(`http://127.0.0.1:${port}`, folder, child);
    await server.start();
    return server;
  }

  get pid(): number {
    return this.#process.pid;
  }

  get logFile(): string {
    return join(this.#folder, "server.log");
  }

  async start(): Promise<void> {
    await this.#process.start(async () => {
      const answer = await fetch(`${this.url}/-/livez`).catch(() => undefined);
      return answer?.status === 200;
    });
  }

  signal(name: NodeJS.Signals): void {
    this.#process.signal(name);
  }

  /** SIGKILL, and waits for its end. */
  async kill(): Promise<void> {
    await this.#process.kill();
  }

  async stop(): Promise<void> {
    await this.#process.kill();
    await removeFolder(this.#folder);
  }
}
