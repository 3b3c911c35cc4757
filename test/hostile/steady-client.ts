import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

import { forkAt } from "./places.ts";

/** What the well-behaved client saw since it was asked before. */
export interface Seen {
  readonly requests: number;
  /** Of all but what was refused: that came to nothing, soon or late. */
  readonly p99Ms: number;
  /** The longest of them. */
  readonly longestMs: number;
  /** Answers 503. */
  readonly refused: number;
  /** Other answers than 200 and 503, and connections that broke. */
  readonly failed: number;
}

/** What the process of a well-behaved client tells when it is asked. */
export interface SteadyReport {
  readonly latencies: readonly number[];
  readonly refused: number;
  readonly failed: number;
}

/** The well-behaved client, in a process of its own. */
export class SteadyClient {
  readonly #child: ChildProcess;

  constructor(port: number) {
    this.#child = forkAt("behaving", join(import.meta.dirname, "steady-process.ts"), [`${port}`]);
  }

  async take(): Promise<Seen> {
    this.#child.send("take");
    const [report] = (await once(this.#child, "message")) as [SteadyReport];
    const { latencies, refused, failed } = report;
    const sorted = latencies.toSorted((a, b) => a - b);
    const p99Ms = sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0;
    const longestMs = sorted.at(-1) ?? 0;
    return { requests: sorted.length + refused, p99Ms, longestMs, refused, failed };
  }

  async stop(): Promise<void> {
    this.#child.disconnect();
    await once(this.#child, "exit");
  }
}
