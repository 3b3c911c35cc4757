import type { Socket } from "node:net";

import { addressOf } from "./address.ts";

/** Connections of one address from which on they may be a crowd. */
const CROWD_MIN = 32;

/** A crowd has at least this share of what the address with the most connections has. */
const CROWD_SHARE = 1 / 4;

/** Connections that are paused here and read again in each turn of the event loop. */
const READ_EACH_TURN = 16;

/** The connections of one address. */
interface Party {
  readonly paused: Set<Socket>;
  /** All others. */
  readonly read: Set<Socket>;
}

/**
 * Reads the many connections of one address in turns. The event loop reads all that is readable when a
 * turn begins, and `node:http` makes requests of it, or finds that the client is gone: some 20 to 80 µs
 * for each connection, before anybody is asked. Of connections that are paused meanwhile it reads
 * nothing more in the same turn. So when a turn gets long, those of crowds are paused, and read again
 * some at a time: one of each crowd, in the order in which they were paused, and then each its next.
 *
 * Where all addresses are crowds nothing is paused, as when there is only one: it would spare nobody,
 * but those whose connections are yet to be taken in.
 */
export class Crowds {
  readonly #byAddress = new Map<string, Party>();
  /** Those that have had some paused; whose turn it is stands first. */
  readonly #waiting = new Set<Party>();
  /** Read again since the last turn: it is theirs now, also where this turn is over too. */
  readonly #due = new Set<Socket>();
  #isPausing = false;

  get hasPaused(): boolean {
    return this.#waiting.size > 0;
  }

  /** To be called for each new connection. */
  add(connection: Socket): void {
    const address = addressOf(connection);
    const party = this.#byAddress.get(address) ?? { paused: new Set(), read: new Set() };
    this.#byAddress.set(address, party);
    party.read.add(connection);
    // `node:http` reads a connection again when it reads a body, or has thrown one away, whoever paused it.
    connection.on("resume", () => {
      if (!connection.isPaused() && party.paused.delete(connection)) party.read.add(connection);
    });
    connection.on("close", () => {
      party.read.delete(connection);
      party.paused.delete(connection);
      if (sizeOf(party) === 0) this.#byAddress.delete(address);
    });
  }

  /** To be called when a turn gets long, for those who may have come since; does something once in a turn. */
  pause({ areComing }: { readonly areComing: boolean }): void {
    if (this.#isPausing) return;
    this.#isPausing = true;
    let largest = 0;
    for (const party of this.#byAddress.values()) largest = Math.max(largest, sizeOf(party));
    const crowdMin = Math.max(CROWD_MIN, largest * CROWD_SHARE);
    const crowds: Party[] = [];
    for (const party of this.#byAddress.values()) {
      if (sizeOf(party) >= crowdMin) crowds.push(party);
    }
    if (crowds.length === this.#byAddress.size && !areComing) return;
    for (const crowd of crowds) this.#pauseAll(crowd);
  }

  #pauseAll(crowd: Party): void {
    for (const connection of crowd.read) {
      // What `node:http` has paused, it resumes when there is room for more.
      if (this.#due.has(connection) || connection.isPaused()) continue;
      connection.pause();
      crowd.read.delete(connection);
      crowd.paused.add(connection);
    }
    if (crowd.paused.size > 0) this.#waiting.add(crowd);
  }

  /** To be called at the end of each turn in which some were paused, or still are. */
  resumeSome(): void {
    this.#isPausing = false;
    if (this.#due.size > 0) this.#due.clear();
    while (this.#due.size < READ_EACH_TURN) {
      const [party] = this.#waiting;
      if (party === undefined) return;
      this.#waiting.delete(party);
      const [connection] = party.paused;
      if (connection === undefined) continue;
      party.paused.delete(connection);
      if (party.paused.size > 0) this.#waiting.add(party);
      party.read.add(connection);
      this.#due.add(connection);
      connection.resume();
    }
  }
}

function sizeOf({ paused, read }: Party): number {
  return paused.size + read.size;
}
