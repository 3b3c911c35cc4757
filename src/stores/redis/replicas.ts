import { StateError } from "../../errors.ts";
import type { Clock } from "../../telemetry/clock.ts";
import type { Connection } from "./connection.ts";

/** Longest wait in one WAIT, in milliseconds; it has to end before the connection counts as dead. */
const WAIT_MS_MAX = 1000;
/** How old what is known of a server's replicas may be, in milliseconds. */
const KNOWN_FOR_MS = 1000;
/** Kept of the deadline, so that a shortage is told as such, in milliseconds. */
const MARGIN_MS = 250;

/** What a server said of its replicas in one session. */
interface Known {
  readonly session: object;
  readonly askedAt: number;
  readonly answer: Promise<{ readonly isPrimary: boolean; readonly replicas: number }>;
  /** How many it has, once that has been answered. */
  replicas: number | undefined;
}

/**
 * Has replicas confirm what was written: as many as the store's URL says. Where it says nothing, one
 * has to, or none where the server has no replica: after a takeover, the new primary may have none,
 * and would never have another write acknowledged.
 */
export class Replicas {
  readonly #asked: number | undefined;
  readonly #clock: Clock;
  readonly #known = new WeakMap<Connection, Known>();

  constructor(asked: number | undefined, clock: Clock) {
    this.#asked = asked;
    this.#clock = clock;
  }

  /** Answers when what was sent before on this connection is confirmed; undefined: by nobody. */
  confirm(connection: Connection, deadline: number): Promise<void> | undefined {
    if (this.#asked === 0) return undefined;
    if (this.#asked === undefined && this.#find(connection).replicas === 0) return undefined;
    return this.#wait(connection, deadline);
  }

  async #wait(connection: Connection, deadline: number): Promise<void> {
    const { session } = connection;
    let needed = await this.#countNeeded(connection);
    let confirmed = 0;
    while (confirmed < needed) {
      const leftMs = Math.floor(deadline - MARGIN_MS - this.#clock.monotonic());
      if (leftMs <= 0) throw tooFew(confirmed, needed);
      if (connection.session !== session) throw new Error("the connection was lost before WAIT");
      confirmed = await connection.confirm(needed, Math.min(leftMs, WAIT_MS_MAX));
      if (confirmed >= needed) return;
      const { isPrimary } = await this.#ask(connection).answer;
      if (!isPrimary) throw new Error("the server has become a replica");
      needed = await this.#countNeeded(connection);
    }
  }

  async #countNeeded(connection: Connection): Promise<number> {
    if (this.#asked !== undefined) return this.#asked;
    const known = this.#find(connection);
    return Math.min(1, known.replicas ?? (await known.answer).replicas);
  }

  /** What is known; where that is old, it is asked for again. */
  #find(connection: Connection): Known {
    const known = this.#known.get(connection);
    if (known === undefined || known.session !== connection.session) return this.#ask(connection);
    if (this.#clock.monotonic() - known.askedAt <= KNOWN_FOR_MS) return known;
    const asked = this.#ask(connection);
    // A server that had none may have one by now: nobody goes on before the answer to that.
    if (known.replicas !== 0) asked.replicas = known.replicas;
    return asked;
  }

  #ask(connection: Connection): Known {
    const answer = connection.send(["INFO", "replication"]).then((reply) => {
      const info = String(reply);
      // One that is still being sent all that there is confirms nothing, which may take minutes.
      known.replicas = info.match(/^slave\d+:.*\bstate=online\b/gm)?.length ?? 0;
      return { isPrimary: /^role:master/m.test(info), replicas: known.replicas };
    });
    const { session } = connection;
    const known: Known = {
      session,
      askedAt: this.#clock.monotonic(),
      answer,
      replicas: undefined,
    };
    this.#known.set(connection, known);
    // Whoever needs the answer awaits it too; a failure is asked for anew.
    answer.catch(() => this.#known.delete(connection));
    return known;
  }
}

function tooFew(confirmed: number, needed: number): StateError {
  return new StateError(
    "outcome_unknown",
    `Redis has made the write, but only ${confirmed} of ${needed} replicas confirmed it in time, so ` +
      "a failover could undo it. Read the key, or send the same request again.",
  );
}
