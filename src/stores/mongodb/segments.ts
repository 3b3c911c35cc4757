import type { Key } from "../../key.ts";
import type { EntryRef, Outcome } from "../../store.ts";
import type { Write } from "../shared/plan.ts";
import {
  toEntryDocument,
  type EntryDocument,
  type KeyState,
  type LiveKey,
  type RequestDocument,
  type SegmentDocument,
} from "./documents.ts";
import type { SegmentIds } from "./segment-ids.ts";

/**
 * A segment ends here, unless its first value alone is larger: a document of MongoDB ends at 16 MiB,
 * which the largest value of 15 MiB leaves room in, and reading one entry should not cost much more
 * than that entry.
 */
const SEGMENT_BYTES_MAX = 1024 * 1024;

/** What an entry takes beside its value: names, times, digest, and three texts of 4 bytes a character. */
const ENTRY_BYTES = 256;

/** What a segment takes beside its entries, with the longest key; and what each request id takes. */
const SEGMENT_BYTES = 1024;
const REQUEST_BYTES = 256;

/** The answer to one transaction of a batch. */
export interface Answer {
  readonly index: number;
  readonly outcome: Outcome;
}

/** A segment to insert, and what its insert settles. */
export interface PlannedSegment {
  readonly document: SegmentDocument;
  /** What it takes of a command, at most. */
  readonly bytes: number;
  /** Answers that are right once the segment is in place. */
  readonly answers: readonly Answer[];
  /** Where the key's log ends after it. */
  readonly after: KeyState;
}

/** What a batch does to one key. */
export interface PlannedKey {
  /** In the order of the log. */
  readonly segments: PlannedSegment[];
  /** Answers and request ids that no segment carries: of a key that the batch does not write. */
  readonly unwritten: readonly Answer[];
  readonly records: readonly RequestDocument[];
}

interface Draft {
  readonly document: SegmentDocument;
  readonly bytes: number;
  readonly requests: RequestDocument[];
  readonly answers: Answer[];
  readonly after: KeyState;
}

/** A segment that may still take entries. */
interface OpenSegment {
  readonly start: number;
  readonly base: number;
  readonly firstVersion: number;
  readonly incarnation: string;
  readonly entries: EntryDocument[];
  readonly requests: RequestDocument[];
  readonly answers: Answer[];
  bytes: number;
}

/** Turns the planned writes of one key into the segments that come next in its log. */
export class SegmentBuilder {
  readonly #key: Key;
  readonly #ids: SegmentIds;
  readonly #drafts: Draft[] = [];
  #state: KeyState;
  #open: OpenSegment | undefined;
  /** What came when there was no segment to carry it; the next one does. */
  #loose: Pick<Draft, "answers" | "requests"> = { answers: [], requests: [] };

  constructor(key: Key, state: KeyState, ids: SegmentIds) {
    this.#key = key;
    this.#state = state;
    this.#ids = ids;
  }

  /**
   * Adds the answer to a transaction that has just been written, or that writes nothing, and the
   * record of its request id. The segment that is newest at the time carries both.
   */
  answer(answer: Answer, request?: RequestDocument): void {
    const carrier = this.#open ?? this.#drafts.at(-1) ?? this.#loose;
    carrier.answers.push(answer);
    if (request !== undefined) carrier.requests.push(request);
  }

  write(write: Write): void {
    if (write.kind === "delete") {
      this.bury(write.head, write.at);
      return;
    }
    const { entry, put } = write;
    const bytes = entryBytes(put.value.byteLength, entry);
    const open = this.#segmentFor(entry, bytes);
    open.entries.push(toEntryDocument(entry, put.value));
    open.bytes += bytes;
    const live: LiveKey = {
      incarnation: entry.incarnation,
      version: entry.version,
      createdAt: entry.createdAt,
      base: open.base,
      position: open.start + open.entries.length - 1,
    };
    this.#state = { next: live.position + 1, live };
  }

  /**
   * Adds a tombstone. Of a key that does not exist (version 0) it only carries a request id: it takes
   * a place in the log, so that two attempts at the same request cannot both succeed.
   */
  bury(last: EntryRef, at: number): void {
    this.#close();
    const s = this.#state.next;
    const { incarnation: g, version: v } = last;
    this.#state = { next: s + 1, live: undefined };
    this.#add(
      { _id: this.#ids.next(), k: this.#key, s, c: 0, g, v, b: s, e: [], x: at, t: 0 },
      { bytes: 0, answers: [], requests: [] },
    );
  }

  finish(): PlannedKey {
    this.#close();
    const { answers: unwritten, requests: records } = this.#loose;
    const segments = this.#drafts.map(({ document, bytes, requests, answers, after }) => ({
      document: requests.length > 0 ? { ...document, r: requests } : document,
      bytes: SEGMENT_BYTES + bytes + REQUEST_BYTES * requests.length,
      answers,
      after,
    }));
    return { segments, unwritten, records };
  }

  #segmentFor(entry: EntryRef, bytes: number): OpenSegment {
    const open = this.#open;
    if (open !== undefined && open.bytes + bytes <= SEGMENT_BYTES_MAX) return open;
    this.#close();
    const { next: start, live } = this.#state;
    this.#open = {
      start,
      base: live?.base ?? start,
      firstVersion: entry.version,
      incarnation: entry.incarnation,
      entries: [],
      answers: [],
      requests: [],
      bytes: 0,
    };
    return this.#open;
  }

  #close(): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    const document: SegmentDocument = {
      _id: this.#ids.next(),
      k: this.#key,
      s: open.start,
      c: open.entries.length,
      g: open.incarnation,
      v: open.firstVersion,
      b: open.base,
      e: open.entries,
      ...(open.start === open.base ? { h: true } : {}),
    };
    this.#add(document, open);
  }

  #add(document: SegmentDocument, carried: Pick<Draft, "bytes" | "answers" | "requests">): void {
    const answers = [...this.#loose.answers, ...carried.answers];
    const requests = [...this.#loose.requests, ...carried.requests];
    this.#loose = { answers: [], requests: [] };
    this.#drafts.push({ document, bytes: carried.bytes, requests, answers, after: this.#state });
  }
}

function entryBytes(
  size: number,
  texts: {
    readonly contentType: string | undefined;
    readonly author: string | undefined;
    readonly message: string | undefined;
  },
): number {
  const { contentType = "", author = "", message = "" } = texts;
  return size + ENTRY_BYTES + 4 * (contentType.length + author.length + message.length);
}

/** Holds a place in a key's log during a transaction that only read the key. */
export function guardDocument(key: Key, state: KeyState, ids: SegmentIds): SegmentDocument {
  const s = state.next;
  return { _id: ids.next(), k: key, s, c: 0, g: "", v: 0, b: s, e: [], t: 0 };
}
