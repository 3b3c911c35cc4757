import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { TaskArguments, TaskName, TaskResult, Written } from "./tasks.ts";

/** Another process that has the store open and carries out tasks on it. */
export interface WorkerProcess {
  /** Starts a task; several may be under way at once. `onNote` hears what it says before its end. */
  run<Name extends TaskName>(
    name: Name,
    task: TaskArguments<Name>,
    onNote?: (note: Written) => void,
  ): Promise<TaskResult<Name>>;
  /** Ends it as `kill -9` does: it gets no chance to finish anything. */
  kill(): Promise<void>;
  /** Lets it close its store and end. */
  stop(): Promise<void>;
}

/** Starts a process on a store URL, and answers when it has the store open. */
export type StartWorker = (url: string) => Promise<WorkerProcess>;

/** What a worker sends: `ready` once, then one answer per task. */
export type WorkerMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly id: number | undefined; readonly reason: string }
  | { readonly kind: "done"; readonly id: number; readonly result: unknown }
  /** A write that was acknowledged while its task goes on. */
  | { readonly kind: "note"; readonly id: number; readonly note: Written };

export interface WorkerTask {
  readonly id: number;
  readonly name: TaskName;
  readonly task: unknown;
}

/** Makes a starter of processes that open the store through `module`'s `open` or `openStore`. */
export function processStarter(module: string): StartWorker {
  return async (url) => {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const file = new URL(`./worker.${extension}`, import.meta.url);
    const child = fork(file, [module, url], {
      execArgv: [],
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const worker = new ForkedWorker(child);
    await worker.ready;
    return worker;
  };
}

/** A process that has closed its store has nothing left to live for. */
const STOP_MS = 60_000;

interface Pending {
  resolve(result: unknown): void;
  reject(reason: Error): void;
  readonly onNote: ((note: Written) => void) | undefined;
}

class ForkedWorker implements WorkerProcess {
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  constructor(child: ChildProcess) {
    this.#child = child;
    const opening = Promise.withResolvers<void>();
    this.ready = opening.promise;
    child.on("message", (message) => this.#receive(message as WorkerMessage, opening));
    child.once("error", (error) => opening.reject(error));
    child.once("exit", (code, signal) => {
      const error = new Error(`the worker process ended with ${signal ?? `code ${code}`}`);
      opening.reject(error);
      for (const pending of this.#pending.values()) pending.reject(error);
      this.#pending.clear();
    });
  }

  async run<Name extends TaskName>(
    name: Name,
    task: TaskArguments<Name>,
    onNote?: (note: Written) => void,
  ): Promise<TaskResult<Name>> {
    const id = this.#nextId;
    this.#nextId += 1;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { resolve, reject, onNote });
    const message: WorkerTask = { id, name, task };
    this.#child.send(message, (error) => error && reject(error));
    return promise as Promise<TaskResult<Name>>;
  }

  async kill(): Promise<void> {
    const exited = this.#exited();
    this.#child.kill("SIGKILL");
    await exited;
  }

  async stop(): Promise<void> {
    const exited = this.#exited();
    if (this.#child.connected) this.#child.disconnect();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#child.kill("SIGKILL");
    }, STOP_MS);
    await exited;
    clearTimeout(timer);
    if (late) throw new Error(`a closed store kept its process alive for ${STOP_MS} ms`);
  }

  async #exited(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    await once(this.#child, "exit");
  }

  #receive(message: WorkerMessage, opening: PromiseWithResolvers<void>): void {
    if (message.kind === "ready") return opening.resolve();
    if (message.kind === "failed" && message.id === undefined) {
      return opening.reject(new Error(message.reason));
    }
    const id = message.id ?? 0;
    const pending = this.#pending.get(id);
    if (message.kind === "note") return pending?.onNote?.(message.note);
    this.#pending.delete(id);
    if (message.kind === "done") return pending?.resolve(message.result);
    pending?.reject(new Error(message.reason));
  }
}
