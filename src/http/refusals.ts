import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import type { Clock } from "../telemetry/clock.ts";

/** How long a refused client is told to wait, by `Retry-After`. */
export const RETRY_AFTER_MS = 1_000;

/**
 * Paces the refusals of an overloaded server. A client that heeds `Retry-After` is refused at once. One
 * that comes back on its connection before that, and is to be refused again, gets its answer when the
 * time is over: to refuse a request takes nearly as long as to serve a small one, so that clients which
 * retry at once would leave the server no time for anything else.
 */
export class Refusals {
  readonly #clock: Clock;
  readonly #nextAt = new WeakMap<Socket, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Waits until the connection may be refused. */
  async wait(socket: Socket): Promise<void> {
    const now = this.#clock.monotonic();
    const at = Math.max(now, this.#nextAt.get(socket) ?? 0);
    this.#nextAt.set(socket, at + RETRY_AFTER_MS);
    if (at > now) await sleep(at - now);
  }
}
