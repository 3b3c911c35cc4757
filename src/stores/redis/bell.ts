import { setTimeout as sleep } from "node:timers/promises";
import { Connection, type ConnectionOptions } from "./connection.ts";
import type { Partition } from "./schema.ts";
import type { Topology } from "./topology.ts";

/**
 * Says that the feed may have grown; the feed itself says whether it has. It may ring for nothing.
 * A follower has its own, and closes it at the end.
 */
export interface Bell {
  /** Answers when something may have come after a position, or after a while, or on abort. */
  wait(position: number, signal: AbortSignal): Promise<void>;
  close(): void;
}

/** Longest wait inside Redis; it has to end before the connection counts as dead. */
const BLOCK_MS = 500;
const RETRY_DELAY_MS = 50;
/** Least time between two rings: what comes faster is read together. */
const REST_MS = 5;

/** Waits in Redis, on a connection of its own, for the one stream of a state of one partition. */
export class BlockingBell implements Bell {
  readonly #options: ConnectionOptions;
  readonly #topology: Topology;
  readonly #partition: Partition;
  #connection: Connection | undefined;
  #rangAt = -Infinity;
  #isClosed = false;

  constructor(options: ConnectionOptions, topology: Topology, partition: Partition) {
    this.#options = options;
    this.#topology = topology;
    this.#partition = partition;
  }

  async wait(position: number, signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<void>();
    const onAbort = (): void => aborted.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    await Promise.race([this.#block(position), aborted.promise]);
    signal.removeEventListener("abort", onAbort);
  }

  async #block(position: number): Promise<void> {
    const { slot, names } = this.#partition;
    const { clock } = this.#options.store;
    const restMs = this.#rangAt + REST_MS - clock.monotonic();
    if (restMs > 0) await sleep(restMs);
    const connection = this.#connect(slot);
    const from = `${position}-0`;
    try {
      if (connection?.isReady !== true) throw new Error("not connected");
      await connection.send([
        "XREAD",
        "BLOCK",
        String(BLOCK_MS),
        "COUNT",
        "1",
        "STREAMS",
        names.feed,
        from,
      ]);
    } catch {
      // Whoever reads the feed next learns what is wrong, and says so.
      await sleep(RETRY_DELAY_MS);
    }
    this.#rangAt = clock.monotonic();
  }

  /** Follows the primary to where it is now. */
  #connect(slot: number): Connection | undefined {
    if (this.#isClosed) return undefined;
    const address = this.#topology.nodeOf(slot)?.address;
    if (this.#connection?.address !== address) {
      this.#connection?.close();
      this.#connection = address && new Connection(address, this.#options);
    }
    return this.#connection;
  }

  close(): void {
    this.#isClosed = true;
    this.#connection?.close();
    this.#connection = undefined;
  }
}

/** Wakes the followers of this process when it has written. */
export class Ringer {
  readonly #waiting = new Set<() => void>();

  ring(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  add(wake: () => void): void {
    this.#waiting.add(wake);
  }

  remove(wake: () => void): void {
    this.#waiting.delete(wake);
  }
}

const POLL_MS_MIN = 20;
const POLL_MS_MAX = 100;

/**
 * Rings at intervals that grow while nothing happens: a cluster lets no command wait for the streams
 * of several slots, and a connection for each would be too many.
 */
export class PollingBell implements Bell {
  readonly #ringer: Ringer;
  #intervalMs = POLL_MS_MIN;
  #position = 0;

  constructor(ringer: Ringer) {
    this.#ringer = ringer;
  }

  /** `position` is the sum of the positions in all partitions. */
  async wait(position: number, signal: AbortSignal): Promise<void> {
    const hasMoved = position !== this.#position;
    this.#position = position;
    this.#intervalMs = hasMoved ? POLL_MS_MIN : Math.min(this.#intervalMs + 2, POLL_MS_MAX);
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#intervalMs);
    this.#ringer.add(resolve);
    const onAbort = (): void => resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    await promise;
    signal.removeEventListener("abort", onAbort);
    clearTimeout(timer);
    this.#ringer.remove(resolve);
  }

  close(): void {}
}
