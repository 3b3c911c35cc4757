import { once } from "node:events";
import { Worker } from "node:worker_threads";

/** Requests of the well-behaved client are due this often: 200 a second. */
const INTERVAL_MS = 5;

/** What the well-behaved client saw since it was asked before. */
export interface Seen {
  readonly requests: number;
  /** Of all but what was refused: that came to nothing, soon or late. */
  readonly p99Ms: number;
  /** Answers 503. */
  readonly refused: number;
  /** Other answers than 200 and 503, and connections that broke. */
  readonly failed: number;
}

/** The well-behaved client, in a thread of its own. */
export class SteadyClient {
  readonly #worker: Worker;

  constructor(port: number) {
    this.#worker = new Worker(new URL("./steady-worker.ts", import.meta.url), {
      workerData: { port, intervalMs: INTERVAL_MS },
    });
  }

  async take(): Promise<Seen> {
    this.#worker.postMessage("take");
    const [message] = (await once(this.#worker, "message")) as [
      { readonly latencies: readonly number[]; readonly refused: number; readonly failed: number },
    ];
    const { latencies, refused, failed } = message;
    const sorted = latencies.toSorted((a, b) => a - b);
    const p99Ms = sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0;
    return { requests: sorted.length + refused, p99Ms, refused, failed };
  }

  async stop(): Promise<void> {
    this.#worker.postMessage("stop");
    await once(this.#worker, "exit");
  }
}
