import { ObjectId, type Document } from "mongodb";
import type { Clock } from "../../telemetry/clock.ts";
import { DURABLE, firstBatch, writeErrors, type Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";
import { NO_STATE } from "./documents.ts";
import { copyRequests } from "./requests.ts";
import { INDEXES } from "./schema.ts";
import { StepSize } from "../shared/step-size.ts";

/** Documents of one step, and of one that clears at first: how large they are shows only then. */
const STEP_ITEMS = 200;
const CLEAR_ITEMS_FIRST = 25;
const CLEAR_ITEMS_MIN = 5;

/**
 * How long a sweep leaves alone what it has claimed, on its own steady clock. A writer aims at a place
 * in a log within 30 s, and the time of one call, of having read where the log ends; only a place
 * that nobody can aim at any more may become empty. No clock of another machine has a part in this.
 */
const GRACE_MS = 10 * 60_000;

/** Whose claim is older than this on the wall clock has ended without clearing: another takes over. */
const ABANDONED_MS = 3 * 60 * 60_000;

/** The place in front of a log's first. */
const BEFORE_START = NO_STATE.next - 1;

/** What this process has claimed, and when. */
interface Claim {
  readonly id: ObjectId;
  readonly at: number;
  /**
   * By tombstone, the position that all has been cleared from, up to the tombstone. A search that
   * began at the tombstone would pass all that MongoDB has not yet taken out of its index.
   */
  readonly clearedFrom: Map<string, number>;
}

interface Clearable {
  readonly _id: ObjectId;
  readonly k: string;
  readonly s: number;
  readonly c: number;
  /** Whether it carries request ids. */
  readonly r: boolean;
}

/**
 * Clears what deletes and retention left behind, in small steps. First it claims some of it, which
 * writers can see: one that finds a claimed tombstone takes it back before it builds on it. After the
 * grace it clears what is still claimed: all that lies before a tombstone, then the tombstone.
 */
export class Sweep {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #graceMs: number;
  readonly #claims: Claim[] = [];
  readonly #clearSize = new StepSize({
    first: CLEAR_ITEMS_FIRST,
    min: CLEAR_ITEMS_MIN,
    max: STEP_ITEMS,
  });

  constructor(database: Database, clock: Clock, timeoutMs: number) {
    this.#database = database;
    this.#clock = clock;
    this.#graceMs = GRACE_MS + 2 * timeoutMs;
  }

  /** One step. Answers true while there is more to do now. */
  async step(deadline: Deadline): Promise<boolean> {
    const claimed = await this.#claim(deadline);
    const [oldest] = this.#claims;
    if (oldest === undefined) return claimed;
    if (this.#clock.monotonic() - oldest.at < this.#graceMs) return claimed;
    const start = this.#clock.monotonic();
    if (!(await this.#clear(oldest, deadline))) this.#claims.shift();
    const tookMs = this.#clock.monotonic() - start;
    this.#clearSize.learn(tookMs);
    // Leaves MongoDB to others for as long as it has just been kept busy.
    await deadline.pause(tookMs);
    return true;
  }

  /** Claims what nobody has claimed, or whoever did has gone. Answers true where there was much. */
  async #claim(deadline: Deadline): Promise<boolean> {
    const { segments } = this.#database.names;
    const now = this.#clock.now();
    const abandoned = ObjectId.createFromTime(Math.floor((now - ABANDONED_MS) / 1000));
    const foreign = { $lt: abandoned, $nin: this.#claims.map((claim) => claim.id) };
    const unclaimed = { filter: { $or: [{ t: 0 }, { t: foreign }] }, limit: STEP_ITEMS };
    const found = await this.#find(unclaimed, deadline);
    if (found.length === 0) return false;
    const id = new ObjectId();
    const updates = found.flatMap((document) => [
      { q: { _id: document._id, k: document.k }, u: { $set: { t: id } } },
      ...(document.c === 0 ? [unlist(document)] : []),
    ]);
    await this.#database.read(
      { update: segments, updates, ordered: false, writeConcern: DURABLE },
      deadline,
    );
    // Counted from when the claim can be seen.
    this.#claims.push({ id, at: this.#clock.monotonic(), clearedFrom: new Map() });
    return found.length === STEP_ITEMS;
  }

  /** Clears a little of what a claim holds. Answers false where nothing is left of it. */
  async #clear({ id, clearedFrom }: Claim, deadline: Deadline): Promise<boolean> {
    const limit = this.#clearSize.items;
    const held = await this.#find({ filter: { t: id }, limit }, deadline);
    if (held.length === 0) return false;
    const tombstones = held.filter((document) => document.c === 0);
    const trimmed = held.filter((document) => document.c > 0);
    const before = tombstones.map(({ _id, k, s }) => ({
      k,
      s: { $lt: clearedFrom.get(_id.toHexString()) ?? s },
    }));
    const search = { filter: { $or: before }, sort: { k: 1, s: -1 }, limit };
    const below = before.length > 0 ? await this.#find(search, deadline) : [];
    // A tombstone goes last of all: until then nothing shows that it has ended.
    const ended = below.length < limit ? tombstones : [];
    const carriers = [...below, ...trimmed, ...ended].filter(({ r }) => r).map(({ _id }) => _id);
    await copyRequests(this.#database, carriers, this.#clock.now(), deadline);
    // One that a writer has taken back meanwhile is not this claim's any more.
    const deletes = [{ _id: among(below) }, { _id: among(trimmed), t: id }];
    // What was not deleted is found again, as long as nobody goes on from below it.
    if (!(await this.#delete(deletes, deadline))) return true;
    if (ended.length > 0) await this.#deleteTombstones(ended, id, deadline);
    const lowest = new Map(below.map(({ k, s }) => [k, s]));
    for (const { _id, k, s } of tombstones) {
      const low = lowest.get(k) ?? s;
      if (low < s) clearedFrom.set(_id.toHexString(), low);
    }
    for (const { _id } of ended) clearedFrom.delete(_id.toHexString());
    return true;
  }

  /**
   * Deletes tombstones that nothing stands before. A crash of a standalone server may take a delete
   * back that others have seen already, so there it must make no difference whether a tombstone has
   * gone: it is first moved in front of its log, which then goes on where an empty one begins.
   */
  async #deleteTombstones(
    tombstones: readonly Clearable[],
    claim: ObjectId,
    deadline: Deadline,
  ): Promise<void> {
    const claimed = { _id: among(tombstones), t: claim };
    if (this.#database.journal === undefined) {
      await this.#delete([claimed], deadline);
      return;
    }
    const updates = tombstones.map(({ _id, k }) => {
      return { q: { _id, k, t: claim }, u: { $set: { s: BEFORE_START } } };
    });
    // Of two tombstones of a key one is refused, and waits until the other has gone.
    await this.#database.read(
      { update: this.#database.names.segments, updates, ordered: false, writeConcern: DURABLE },
      deadline,
    );
    await this.#delete([{ ...claimed, s: BEFORE_START }], deadline);
  }

  /** Answers false where something was not deleted. */
  async #delete(filters: readonly Document[], deadline: Deadline): Promise<boolean> {
    const reply = await this.#database.read(
      {
        delete: this.#database.names.segments,
        deletes: filters.map((q) => ({ q, limit: 0 })),
        ordered: true,
        writeConcern: DURABLE,
      },
      deadline,
    );
    return writeErrors(reply).length === 0;
  }

  async #find(search: Document, deadline: Deadline): Promise<readonly Clearable[]> {
    const reply = await this.#database.find(
      {
        find: this.#database.names.segments,
        ...search,
        // Small enough that as many as the limit says always fit one reply.
        projection: { _id: 1, k: 1, s: 1, c: 1, r: { $isArray: "$r" } },
        batchSize: STEP_ITEMS,
      },
      { deadline },
    );
    return firstBatch<Clearable>(reply);
  }
}

function among(documents: readonly Clearable[]): Document {
  return { $in: documents.map(({ _id }) => _id) };
}

/** Takes the lives that a tombstone ended out of the index that lists walk along. */
function unlist({ k, s }: Clearable): Document {
  const q = { k, s: { $lt: s }, h: true };
  return { q, u: { $unset: { h: "" } }, multi: true, hint: INDEXES.listed.name };
}
