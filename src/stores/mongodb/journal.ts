import { DURABLE, retryTransient, type Database } from "./database.ts";
import { ServerChangedError } from "./classify.ts";
import type { Deadline } from "./deadline.ts";

/** How many are remembered: about 150 bytes each. */
const KNOWN_MAX = 50_000;

/** What a read shows: the name of something that changes, and what it is at the moment. */
export type Shown = readonly (readonly [name: string, id: string])[];

/**
 * Knows what a standalone server has in its journal. A replica set shows its majority readers nothing
 * else; a standalone server shows a write at once, and for up to 100 ms a crash could take it back
 * from whoever has seen it.
 */
export class Journal {
  readonly #database: Database;
  readonly #known = new Map<string, string>();
  /** The process of mongod that has answered last; its successor may have lost what it showed. */
  #process = "";

  constructor(database: Database) {
    this.#database = database;
  }

  async begin(deadline: Deadline): Promise<void> {
    this.#process = await this.#askProcess(deadline);
  }

  /** Remembers what a journaled write has just been acknowledged for. */
  note(shown: Shown): void {
    for (const [name, id] of shown) this.#known.set(name, id);
    if (this.#known.size > KNOWN_MAX) this.#dropOldest(KNOWN_MAX / 8);
  }

  /** Reads, and again where mongod was restarted before its journal had what was read. */
  async read<T>(
    call: () => Promise<T>,
    shownBy: (result: T) => Shown,
    deadline: Deadline,
  ): Promise<T> {
    return retryTransient(deadline, async () => {
      const process = this.#process;
      const result = await call();
      const shown = shownBy(result);
      if (shown.every(([name, id]) => this.#known.get(name) === id)) return result;
      const answering = await this.#flush(deadline);
      this.#process = answering;
      if (answering !== process) {
        throw new ServerChangedError("MongoDB was restarted while it was read.");
      }
      this.note(shown);
      return result;
    });
  }

  /**
   * Any journaled write will do: it comes after everything that can be seen by now. It is sent once:
   * another process would carry it out as well, and know nothing of what was seen. Answers the process
   * that there is after it: where it is the one that was known before the read, it has done both.
   */
  async #flush(deadline: Deadline): Promise<string> {
    const updates = [{ q: { _id: "journal" }, u: { $inc: { n: 1 } }, upsert: true }];
    const update = this.#database.names.meta;
    await this.#database.command({ update, updates, writeConcern: DURABLE }, deadline);
    return this.#askProcess(deadline);
  }

  async #askProcess(deadline: Deadline): Promise<string> {
    const hello = (await this.#database.command({ hello: 1 }, deadline)) as {
      readonly topologyVersion?: { readonly processId: unknown };
    };
    return String(hello.topologyVersion?.processId);
  }

  /** Many at a time: what is removed in front leaves holes that each look there has to pass. */
  #dropOldest(count: number): void {
    let left = count;
    for (const name of this.#known.keys()) {
      if (left <= 0) break;
      this.#known.delete(name);
      left -= 1;
    }
  }
}
