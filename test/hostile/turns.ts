import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";

/** The turns of a server's event loop since it was asked before. */
export interface TurnsReport {
  /** How long each took, in milliseconds. */
  readonly turnsMs: readonly number[];
  readonly windowMs: number;
}

/** What the turns of a server's event loop make a request wait. */
export interface TurnsSeen {
  /** Of requests that come at any moment, 99 of 100 wait no longer for the turn under way. */
  readonly p99Ms: number;
  readonly longestMs: number;
}

/** Asks a server process how long its turns took. */
export class TurnsProbe {
  readonly #path: string;

  constructor(folder: string) {
    this.#path = join(folder, "turns.socket");
  }

  /** What the server is to be started under. */
  get under(): readonly string[] {
    const preload = join(import.meta.dirname, "turns-preload.ts");
    return ["env", `NODE_OPTIONS=--import=${preload}`, `HOSTILE_TURNS=${this.#path}`];
  }

  async take(): Promise<TurnsSeen> {
    const socket = connect(this.#path);
    await once(socket, "connect");
    return waitsOf(JSON.parse(await text(socket)) as TurnsReport);
  }
}

/** Finds the wait that a hundredth of the time is spent before: every turn of `t` holds `t - wait` of it. */
export function waitsOf({ turnsMs, windowMs }: TurnsReport): TurnsSeen {
  const longestMs = turnsMs.reduce((most, ms) => Math.max(most, ms), 0);
  let [low, high] = [0, longestMs];
  while (high - low > 0.01) {
    const wait = (low + high) / 2;
    const beyond = turnsMs.reduce((sum, ms) => sum + Math.max(0, ms - wait), 0);
    if (beyond > windowMs / 100) low = wait;
    else high = wait;
  }
  return { p99Ms: high, longestMs };
}
