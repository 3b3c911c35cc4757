import { availableParallelism } from "node:os";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";

import type { DiffAnswer, DiffOptions } from "../../api.ts";
import { StateError } from "../../errors.ts";
import { withoutValue, type Entry } from "../../store.ts";
import type { Clock } from "../../telemetry/clock.ts";
import { compare, type Compared, type CompareTask } from "./compare.ts";

/**
 * Pairs up to this many bytes are compared at once. Starting a thread takes some 30 ms, and a JSON
 * comparison of two arrays takes the product of their lengths, so this stays small.
 */
const INLINE_BYTES_MAX = 8 * 1024;

/** How long an inline comparison may hold up the event loop, in milliseconds. */
const INLINE_TIMEOUT_MS = 3;

/** Memory of one such thread; a JSON comparison of long arrays takes the product of their lengths. */
const WORKER_MEBIBYTES_MAX = 256;

/**
 * Threads that compare at once; further requests are told to come back. One processor is left to the
 * thread that serves.
 */
const WORKERS_MAX = Math.min(2, Math.max(1, availableParallelism() - 1));

/** The compiled worker ends in `.js`, the one in a checkout in `.ts`, as this file does. */
const WORKER_URL = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);

/** Compares versions of keys: small ones at once, others in a worker thread with a deadline. */
export class Differ {
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  #running = 0;

  constructor(timeoutMs: number, clock: Clock) {
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
  }

  async diff(
    key: string,
    pair: readonly [Entry, Entry],
    options: DiffOptions,
  ): Promise<DiffAnswer> {
    const [from, to] = pair;
    const format = options.format ?? "text";
    const task: CompareTask = {
      from: { label: `${key}/${from.version}`, value: from.value },
      to: { label: `${key}/${to.version}`, value: to.value },
      format,
      timeoutMs: this.#timeoutMs,
    };
    const compared = await this.#compare(task);
    if (compared.kind === "not-json") {
      throw new StateError(
        "diff_unsupported",
        `${compared.label} is not JSON; ask for a text diff.`,
      );
    }
    if (compared.kind === "timeout") {
      throw new StateError(
        "diff_unsupported",
        `The two versions differ too much to be compared within ${this.#timeoutMs} ms.`,
      );
    }
    if (compared.kind === "too-complex") {
      throw new StateError(
        "diff_unsupported",
        "The two versions are too deeply nested, or their arrays too long, for a JSON Patch; ask for " +
          "a text diff.",
      );
    }
    return { from: withoutValue(from), to: withoutValue(to), ...compared };
  }

  async #compare(task: CompareTask): Promise<Compared> {
    if (task.from.value.byteLength + task.to.value.byteLength <= INLINE_BYTES_MAX) {
      const compared = compare({ ...task, timeoutMs: INLINE_TIMEOUT_MS }, this.#clock);
      if (compared.kind !== "timeout") return compared;
    }
    if (this.#running >= WORKERS_MAX) {
      throw new StateError("overloaded", "Other large versions are being compared. Try again.");
    }
    this.#running += 1;
    try {
      return await compareInWorker(task);
    } finally {
      this.#running -= 1;
    }
  }
}

async function compareInWorker(task: CompareTask): Promise<Compared> {
  const { promise, resolve, reject } = Promise.withResolvers<Compared>();
  const worker = new Worker(WORKER_URL, {
    workerData: task,
    resourceLimits: { maxOldGenerationSizeMb: WORKER_MEBIBYTES_MAX },
  });
  const timer = setTimeout(() => resolve({ kind: "timeout" }), task.timeoutMs);
  worker.once("message", resolve);
  worker.once("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "ERR_WORKER_OUT_OF_MEMORY") resolve({ kind: "too-complex" });
    else reject(error);
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}
