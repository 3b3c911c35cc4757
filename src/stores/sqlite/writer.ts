import { Worker } from "node:worker_threads";

import { StateError } from "../../errors.ts";
import type { Log } from "../../telemetry/log.ts";
import { lockedError } from "./classify.ts";
import {
  abandon,
  newTurn,
  type Answer,
  type Call,
  type Facts,
  type Failure,
  type Job,
  type Message,
  type Turn,
  type WriterData,
} from "./protocol.ts";

export interface WriterOptions {
  readonly file: string;
  readonly connectTimeoutMs: number;
  readonly timeoutMs: number;
  readonly log: Log;
}

interface Pending {
  readonly turn: Turn;
  readonly timer: NodeJS.Timeout;
  resolve(answer: Answer): void;
  reject(error: StateError): void;
}

/** The module's own extension: TypeScript as it is, or JavaScript once built. */
const EXTENSION = import.meta.url.endsWith(".ts") ? "ts" : "js";
const THREAD = new URL(`./writer-thread.${EXTENSION}`, import.meta.url);

/**
 * The main thread's end of the writer's thread. Calls are carried out one after the other, in the
 * order of the calls. A thread that dies rejects what it had, and the next call starts another.
 */
export class Writer {
  readonly #options: WriterOptions;
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | undefined;
  /** The file that the first thread opened; a later one opens no other. */
  #identity: string | undefined;
  #nextId = 1;

  private constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Opens the file, and answers once it is set up. */
  static async start(options: WriterOptions): Promise<{ writer: Writer; facts: Facts }> {
    const writer = new Writer(options);
    const { promise, resolve, reject } = Promise.withResolvers<Facts>();
    writer
      .#spawn((message) => {
        if (message.kind === "ready") resolve(message.facts);
        else reject(toError(message.failure));
      })
      .once("exit", () => reject(diedError()));
    return { writer, facts: await promise };
  }

  /**
   * Settles within the deadline. Where it passes, the error tells whether the write may yet happen.
   * `transfer` changes hands.
   */
  call(job: Job, transfer: readonly ArrayBuffer[] = []): Promise<Answer> {
    const id = this.#nextId;
    this.#nextId += 1;
    const turn = newTurn();
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const timer = setTimeout(() => this.#giveUp(id), this.#options.timeoutMs);
    this.#pending.set(id, { turn, timer, resolve, reject });
    this.#worker ??= this.#spawn(() => {});
    this.#worker.postMessage({ id, turn, job } satisfies Call, transfer);
    return promise;
  }

  /** Waits for the calls under way, then ends the thread. No call may follow. */
  async close(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    try {
      await this.call({ kind: "close" });
    } finally {
      // It ends by itself, unless its disk hangs.
      await worker.terminate();
    }
  }

  #spawn(onOpened: (message: Extract<Message, { kind: "ready" | "unopened" }>) => void): Worker {
    const { file, connectTimeoutMs } = this.#options;
    const workerData: WriterData = { file, connectTimeoutMs, identity: this.#identity };
    // The options of the main thread's command line may be illegal for a thread, or meant for it alone.
    const worker = new Worker(THREAD, { workerData, execArgv: [], name: "sqlite-writer" });
    worker.on("message", (message: Message) => {
      if (message.kind === "ready") {
        this.#identity = message.facts.identity;
        return onOpened(message);
      }
      if (message.kind === "unopened") {
        onOpened(message);
        return this.#end(worker, toError(message.failure));
      }
      const pending = this.#take(message.id);
      if (message.kind === "answer") pending?.resolve(message.answer);
      else pending?.reject(toError(message.failure));
    });
    worker.on("error", (error: unknown) => {
      this.#options.log.error({ err: error }, "the thread that writes to SQLite died");
    });
    worker.once("exit", () => this.#end(worker, undefined));
    this.#worker = worker;
    return worker;
  }

  /** The thread is gone: settles what it had. Without an error, each call knows how far it came. */
  #end(worker: Worker, error: StateError | undefined): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const id of this.#pending.keys()) {
      const pending = this.#take(id);
      if (pending === undefined) continue;
      pending.reject(error ?? (abandon(pending.turn) ? diedError() : unknownError()));
    }
  }

  #giveUp(id: number): void {
    const pending = this.#take(id);
    if (pending === undefined) return;
    pending.reject(abandon(pending.turn) ? lockedError() : unknownError());
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(pending?.timer);
    return pending;
  }
}

function diedError(): StateError {
  return new StateError(
    "store_unavailable",
    "The thread that writes to the database died. Nothing was written; try again.",
  );
}

function unknownError(): StateError {
  return new StateError(
    "outcome_unknown",
    "The database did not answer a commit. The write may or may not have happened: read the key " +
      "before you try again.",
  );
}

function toError({ code, message, applied, cause }: Failure): StateError {
  return new StateError(code, message, {
    applied,
    ...(cause === undefined ? {} : { cause: new Error(cause) }),
  });
}
