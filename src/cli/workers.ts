import cluster, { type Worker } from "node:cluster";
import { setTimeout as sleep } from "node:timers/promises";
import type { Settings } from "./config.ts";
import { UsageError } from "./parse.ts";
import { assertFree } from "./port.ts";
import { StopSignals, type StopMessage } from "./stop.ts";

/** Before a worker that ended is started again, in milliseconds: one that can't start must not spin. */
const RESTART_MS = 1_000;

/** A worker cuts off what takes too long by itself; one that does not even do that is ended later by this. */
const CUT_OFF_MS = 1_000;

/** True in the process that only starts the others; they do the work. */
export function isStarterOf(settings: Settings): boolean {
  return settings.workers > 1 && cluster.isPrimary;
}

/** What a worker that has begun to serve tells the process that started it: what to print. */
interface ServingMessage {
  readonly serving: string;
}

function isServingMessage(message: unknown): message is ServingMessage {
  return typeof message === "object" && message !== null && "serving" in message;
}

/** Prints where the server is found and what it promises: of several workers, once all of them serve. */
export function announce(text: string): void {
  if (cluster.isPrimary) process.stdout.write(text);
  else process.send?.({ serving: text } satisfies ServingMessage);
}

/**
 * Serves by several processes that share one port. Each is a whole server over the same store, which
 * is what keeps them correct together; one that dies is started again. Ends when a signal asks for it
 * and all have stopped, or when one can't start in the first place.
 */
export async function runWorkers(settings: Settings): Promise<number> {
  if (settings.store.startsWith("memory:")) {
    throw new UsageError(
      "memory: lives in one process alone, and several workers would each have their own. " +
        "Use --workers 1, or sqlite: or a database.",
    );
  }
  const signals = new StopSignals();
  await assertFree(settings);
  const workers = new Workers(settings);
  const failed = workers.start();
  const signal = await Promise.race([signals.next(), failed]);
  if (typeof signal === "number") return workers.stop("SIGTERM").then(() => signal);
  const again = signals.next().then((second) => workers.stop(second));
  return Promise.race([workers.stop(signal), again]);
}

/** The processes, by node:cluster, which hands each new connection to one of them in turn. */
class Workers {
  readonly #count: number;
  readonly #drainTimeoutMs: number;
  readonly #running = new Set<Worker>();
  readonly #serving = new Set<Worker>();
  readonly #ended = Promise.withResolvers<void>();
  #announced = "";
  #isStopping = false;

  constructor({ workers, drainTimeoutMs }: Pick<Settings, "workers" | "drainTimeoutMs">) {
    this.#count = workers;
    this.#drainTimeoutMs = drainTimeoutMs;
  }

  /** Answers with an exit code where a worker ends before all have served. */
  async start(): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    for (let started = 0; started < this.#count; started += 1) this.#fork(resolve);
    return promise;
  }

  /** Asks all of them to stop, and waits for their ends. Answers 1 where one had to be ended. */
  async stop(signal: NodeJS.Signals): Promise<number> {
    this.#isStopping = true;
    const message: StopMessage = { stop: signal };
    for (const worker of this.#running) if (worker.isConnected()) worker.send(message);
    let code = 0;
    const late = setTimeout(() => {
      code = 1;
      for (const worker of this.#running) worker.process.kill("SIGKILL");
    }, this.#drainTimeoutMs + CUT_OFF_MS);
    if (this.#running.size > 0) await this.#ended.promise;
    clearTimeout(late);
    return code;
  }

  #fork(onFailed: (code: number) => void): void {
    const worker = cluster.fork();
    // One that dies while it is told something is no reason to die: its end is heard of below.
    worker.on("error", () => {});
    this.#running.add(worker);
    let hasServed = false;
    worker.on("message", (message: unknown) => {
      if (!isServingMessage(message)) return;
      hasServed = true;
      this.#serving.add(worker);
      this.#announce(message.serving);
    });
    worker.once("exit", (code: number | null) => {
      this.#running.delete(worker);
      this.#serving.delete(worker);
      if (this.#isStopping) {
        if (this.#running.size === 0) this.#ended.resolve();
        return;
      }
      // Once all have served, one that can't start waits for its back end, as those that serve do.
      if (!hasServed && this.#announced === "") onFailed(code || 1);
      else void sleep(RESTART_MS).then(() => this.#isStopping || this.#fork(onFailed));
    });
  }

  /**
   * A free port belongs to the workers that listen on it: once all of them are gone, those that follow
   * find another one, and say so. That is also why nothing is said while some are still to come.
   */
  #announce(text: string): void {
    if (this.#serving.size < this.#count || text === this.#announced) return;
    this.#announced = text;
    process.stdout.write(text);
  }
}
