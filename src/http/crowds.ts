import type { Socket } from "node:net";

import { addressOf } from "./address.ts";

/** Connections of one address from which on they are a crowd. */
const CROWD_MIN = 100;

/** Connections that are paused here and read again in each turn of the event loop. */
const READ_EACH_TURN = 16;

interface Crowd {
  size: number;
  /** Those that are not paused here. */
  readonly read: Set<Socket>;
}

/**
 * Reads the many connections of one address in turns. The event loop reads all that is readable when a
 * turn begins, and `node:http` makes requests of it, or finds that the client is gone: some 20 to 80 µs
 * for each connection, before anybody is asked. Of connections that are paused meanwhile it reads
 * nothing more in the same turn. So when a turn gets long, those of a crowd are paused, and read again
 * some at a time, in the order in which they were paused.
 *
 * Without a client of another address nothing is paused: it would spare nobody.
 */
export class Crowds {
  readonly #byAddress = new Map<string, Crowd>();
  readonly #paused = new Map<Socket, Crowd>();
  /** Read again since the last turn: it is theirs now, also where this turn is over too. */
  readonly #due = new Set<Socket>();
  #isPausing = false;

  get hasPaused(): boolean {
    return this.#paused.size > 0;
  }

  /** To be called for each new connection. */
  add(connection: Socket): void {
    const address = addressOf(connection);
    const crowd = this.#byAddress.get(address) ?? { size: 0, read: new Set() };
    this.#byAddress.set(address, crowd);
    crowd.size += 1;
    crowd.read.add(connection);
    connection.on("close", () => {
      crowd.size -= 1;
      if (crowd.size === 0) this.#byAddress.delete(address);
      crowd.read.delete(connection);
      this.#paused.delete(connection);
    });
  }

  /** To be called when a turn gets long; does something once in a turn. */
  pause(): void {
    if (this.#isPausing || this.#byAddress.size === 1) return;
    this.#isPausing = true;
    for (const crowd of this.#byAddress.values()) {
      if (crowd.size >= CROWD_MIN) this.#pauseCrowd(crowd);
    }
  }

  #pauseCrowd(crowd: Crowd): void {
    for (const connection of crowd.read) {
      // What `node:http` has paused, it resumes when there is room for more.
      if (this.#due.has(connection) || connection.isPaused()) continue;
      connection.pause();
      crowd.read.delete(connection);
      this.#paused.set(connection, crowd);
    }
  }

  /** To be called at the end of each turn in which some were paused, or still are. */
  resumeSome(): void {
    this.#isPausing = false;
    if (this.#due.size > 0) this.#due.clear();
    for (const [connection, crowd] of this.#paused) {
      if (this.#due.size === READ_EACH_TURN) return;
      this.#paused.delete(connection);
      this.#due.add(connection);
      crowd.read.add(connection);
      connection.resume();
    }
  }
}
