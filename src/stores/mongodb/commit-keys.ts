import type { Document, ObjectId, Timestamp } from "mongodb";
import type { Key } from "../../key.ts";
import type { Clock } from "../../telemetry/clock.ts";
import {
  DeadlineError,
  DUPLICATE_KEY,
  isNeverSent,
  isRefusal,
  isTransient,
  isTransientCode,
} from "./classify.ts";
import {
  DURABLE,
  firstBatch,
  MAJORITY,
  retryDelayMs,
  writeErrors,
  type Database,
} from "./database.ts";
import type { Deadline } from "./deadline.ts";
import { NO_STATE } from "./documents.ts";
import { headAfter } from "./heads.ts";
import { planKey, type Basis, type Item, type KeyWork } from "./key-work.ts";
import type { OtherWriters } from "./other-writers.ts";
import type { ReadCache } from "./read-cache.ts";
import { findRequests, insertRequests } from "./requests.ts";
import { Round } from "./round.ts";
import type { Answer, PlannedKey } from "./segments.ts";
import type { StateCache } from "./state-cache.ts";
import { loadKeys, readFloors, toShown } from "./states.ts";

/** What the segments of one insert may take: MongoDB takes commands of 16 MiB and 16 KiB. */
const INSERT_BYTES_MAX = 16_000_000;

const NO_SEGMENT = { state: NO_STATE, latest: undefined, id: undefined };

/**
 * Commits transactions of one key each: the next segment of every key in one unordered insert. A key
 * whose place in its log was taken has lost a race, alone: its end is read again, its transactions are
 * decided again, and it joins the next round. An insert whose answer was lost is sent again as it was,
 * so the unique index tells the two attempts from two writes.
 */
export class KeyCommitter {
  readonly #database: Database;
  readonly #cache: StateCache;
  readonly #entries: ReadCache;
  readonly #others: OtherWriters;
  readonly #clock: Clock;

  constructor(
    database: Database,
    memory: {
      readonly states: StateCache;
      readonly entries: ReadCache;
      readonly others: OtherWriters;
    },
    clock: Clock,
  ) {
    this.#database = database;
    this.#cache = memory.states;
    this.#entries = memory.entries;
    this.#others = memory.others;
    this.#clock = clock;
  }

  async commit(items: readonly Item[], deadline: Deadline): Promise<readonly Answer[]> {
    const round = new Round(items, deadline);
    for (let attempt = 0; round.pending.length > 0; attempt += 1) {
      try {
        round.begin();
        await this.#prepare(round);
        await this.#insert(round);
      } catch (error) {
        round.failAll(error);
        break;
      }
      if (round.isHeldUp) await deadline.pause(retryDelayMs(attempt));
    }
    return round.answers;
  }

  /** Plans every key that has nothing planned. */
  async #prepare(round: Round): Promise<void> {
    const works = round.pending.filter((work) => work.segments.length === 0);
    if (works.length === 0) return;
    const bases = await this.#readBases(works, round);
    const now = this.#clock.now();
    const transactions = works.flatMap((work) => work.waiting.map((item) => item.transaction));
    const found = await findRequests(this.#database, transactions, now, round);
    const unwritten: [KeyWork, PlannedKey][] = [];
    for (const work of works) {
      const basis = bases.get(work.key);
      if (basis === undefined) throw new Error("Every key has a basis.");
      const planned = planKey(work, basis, { found, now, ids: this.#database.ids });
      work.segments = planned.segments;
      if (planned.segments.length > 0) continue;
      // Nothing will be inserted that could tell whether the memory was right.
      if (basis.fresh) unwritten.push([work, planned]);
      else work.mustRead = true;
    }
    await this.#settleUnwritten(unwritten, round);
  }

  async #readBases(works: readonly KeyWork[], round: Round): Promise<Map<Key, Basis>> {
    const { deadline, insertedAt } = round;
    const bases = new Map<Key, Basis>();
    await this.#others.look(deadline, insertedAt);
    const missing = works.filter((work) => {
      const state = work.mustRead || work.readsValues ? undefined : this.#cache.get(work.key);
      if (state === undefined || state.next <= work.taken) return true;
      bases.set(work.key, { state, floor: undefined, latest: undefined, fresh: false });
      return false;
    });
    const at = this.#clock.monotonic();
    for (const values of [false, true]) {
      const some = missing.filter((work) => work.readsValues === values);
      const keys = some.map((work) => work.key);
      const loaded = await loadKeys(this.#database, keys, values, deadline);
      for (const { key, taken } of some) {
        const { state, latest, id } = loaded.get(key) ?? NO_SEGMENT;
        bases.set(key, { state, latest, floor: undefined, fresh: true });
        this.#cache.set(key, state, at);
        if (taken > 0 && id !== undefined) this.#others.meet(id);
      }
    }
    const anchors = works.flatMap(({ key, deletes }) => {
      const live = deletes ? bases.get(key)?.state.live : undefined;
      return live === undefined ? [] : [{ key, live }];
    });
    for (const [key, floor] of await readFloors(this.#database, anchors, { deadline })) {
      const basis = bases.get(key);
      if (basis !== undefined) bases.set(key, { ...basis, floor });
    }
    return bases;
  }

  /** Answers transactions that write nothing; request ids among them are recorded first. */
  async #settleUnwritten(works: readonly [KeyWork, PlannedKey][], round: Round): Promise<void> {
    const records = works.flatMap(([, planned]) => planned.records);
    if (records.length > 0) {
      const command = { ...insertRequests(this.#database, records), writeConcern: DURABLE };
      const reply = await this.#database.read(command, round.deadline);
      // Someone has recorded one of the ids meanwhile: it is found when all are looked up again.
      if (writeErrors(reply).length > 0) return;
    }
    for (const [work, planned] of works) round.settle(work, planned.unwritten);
  }

  async #insert(round: Round): Promise<void> {
    const works = fitting(round.pending.filter((work) => work.segments.length > 0));
    if (works.length === 0) return;
    const documents = works.flatMap((work) => work.segments.slice(0, 1).map((one) => one.document));
    const at = this.#clock.monotonic();
    let reply: Document;
    try {
      const insert = { insert: this.#database.names.segments, documents, ordered: false };
      reply = await this.#database.command({ ...insert, writeConcern: DURABLE }, round.deadline);
    } catch (error) {
      if (!isRefusal(error) && !isNeverSent(error)) for (const work of works) work.sent = true;
      if (!isTransient(error) && !(error instanceof DeadlineError)) throw error;
      round.lastError = error;
      round.isHeldUp = true;
      return;
    }
    await this.#sortOut(works, reply, { round, at });
  }

  /** Deals with the answer to an insert, document by document. */
  async #sortOut(
    works: readonly KeyWork[],
    reply: Document,
    { round, at }: { readonly round: Round; readonly at: number },
  ): Promise<void> {
    round.insertedAt = reply["operationTime"] as Timestamp | undefined;
    const errors = new Map(writeErrors(reply).map(({ index, code }) => [index, code]));
    const isComplete = reply["n"] === works.length - errors.size;
    const taken: KeyWork[] = [];
    works.forEach((work, index) => {
      const code = errors.get(index);
      if (code === undefined && isComplete) this.#inserted(work, round, at);
      else if (code === DUPLICATE_KEY) taken.push(work);
      else if (code === undefined || isTransientCode(code)) {
        work.sent = true;
        round.isHeldUp = true;
      } else round.refuse(work, code);
    });
    const unsure = taken.filter((work) => work.sent);
    const own = await this.#findOwn(unsure, round.deadline);
    for (const work of taken) {
      const place = own.get(work.key);
      if (work.sent && place === undefined) round.isHeldUp = true;
      else if (place === true) this.#inserted(work, round, at);
      else this.#lost(work, round);
    }
  }

  #inserted(work: KeyWork, round: Round, at: number): void {
    const segment = work.segments.shift();
    if (segment === undefined) throw new Error("Only a planned segment is inserted.");
    work.sent = false;
    const { _id: i, s } = segment.document;
    this.#database.journal?.note([toShown({ _id: work.key, i, s })]);
    this.#cache.set(work.key, segment.after, at);
    if (this.#entries.knows(work.key)) {
      this.#entries.keepHead(work.key, headAfter(segment), { at, newest: undefined });
    }
    round.settle(work, segment.answers);
  }

  #lost(work: KeyWork, round: Round): void {
    work.lose();
    // The winner of the first race can be read at once; a majority may not have a later one's yet.
    if (work.losses > 2) round.isHeldUp = true;
  }

  /** Whether the document in the place that each key aims at is its own; missing where unknown. */
  async #findOwn(works: readonly KeyWork[], deadline: Deadline): Promise<Map<Key, boolean>> {
    const own = new Map<Key, boolean>();
    if (works.length === 0) return own;
    const planned = new Map(works.map((work) => [work.key, work.segments[0]?.document]));
    const places = [...planned.values()].map((document) => ({ k: document?.k, s: document?.s }));
    const reply = await this.#database.read(
      {
        find: this.#database.names.segments,
        filter: { $or: places },
        projection: { _id: 1, k: 1 },
        batchSize: 1000,
        readConcern: MAJORITY,
      },
      deadline,
    );
    for (const { _id, k } of firstBatch<{ readonly _id: ObjectId; readonly k: Key }>(reply)) {
      own.set(k, planned.get(k)?._id.equals(_id) === true);
    }
    return own;
  }
}

/** The first of them whose next segments fit one command; the others go with the next. */
function fitting(works: readonly KeyWork[]): readonly KeyWork[] {
  let bytes = 0;
  const end = works.findIndex((work) => {
    bytes += work.segments[0]?.bytes ?? 0;
    return bytes > INSERT_BYTES_MAX;
  });
  return end === -1 ? works : works.slice(0, Math.max(1, end));
}
