import { Binary, type ObjectId } from "mongodb";
import type { Entry, EntryInfo, PutResult, DeleteResult, RequestId } from "../../store.ts";
import type { NewEntry } from "../shared/plan.ts";

/**
 * One link of a key's log, and the only kind of document that data lives in. A segment is never
 * changed by a write: it is inserted whole, under a unique index on `k` and `s`, and that insert is
 * the commit. Names are short because every document repeats them.
 */
export interface SegmentDocument {
  readonly _id: ObjectId;
  /** The key. */
  readonly k: string;
  /** Position of the first entry in the key's log. Goes on through deletes. */
  readonly s: number;
  /** How many versions it was inserted with; 0 where it is a tombstone. */
  readonly c: number;
  /** The incarnation. */
  readonly g: string;
  /** Version of the first entry; of a tombstone the last version there was, 0 where there was none. */
  readonly v: number;
  /** Position of the first segment of this incarnation. */
  readonly b: number;
  /** The entries. Retention takes from the front, so version n is `v + c - n` from the end. */
  readonly e: readonly EntryDocument[];
  /** On the first segment of an incarnation that lists show. */
  readonly h?: true;
  /** On the first segment, once retention has been there: the first version that is left. */
  readonly f?: number;
  /** When the delete happened, on a tombstone. */
  readonly x?: number;
  /** On what can be cleared: 0, then the id of the sweep that has claimed it. */
  readonly t?: 0 | ObjectId;
  /** Clients' request ids that were committed with it. */
  readonly r?: readonly RequestDocument[];
}

export interface EntryDocument {
  /** `createdAt` */
  readonly a: number;
  /** size */
  readonly z: number;
  /** digest */
  readonly h: Binary | Uint8Array;
  /** content type */
  readonly t?: string;
  /** author */
  readonly u?: string;
  /** message */
  readonly m?: string;
  /** The value; a projection may leave it out. */
  readonly d?: Binary | Uint8Array;
}

/** A request id with its outcome. */
export interface RequestDocument {
  readonly i: Binary;
  /** fingerprint */
  readonly f: Binary;
  readonly at: Date;
  readonly p: readonly { readonly g: string; readonly v: number; readonly a: number }[];
  readonly d: readonly number[];
}

export function toEntryDocument(entry: NewEntry, value: Uint8Array): EntryDocument {
  return {
    a: entry.createdAt,
    z: entry.size,
    h: Buffer.from(entry.digest, "hex"),
    ...(entry.contentType === undefined ? {} : { t: entry.contentType }),
    ...(entry.author === undefined ? {} : { u: entry.author }),
    ...(entry.message === undefined ? {} : { m: entry.message }),
    d: value,
  };
}

export function toEntryInfo(g: string, version: number, entry: EntryDocument): EntryInfo {
  return {
    incarnation: g,
    version,
    createdAt: entry.a,
    size: entry.z,
    digest: toBytes(entry.h).toString("hex"),
    contentType: entry.t,
    author: entry.u,
    message: entry.m,
  };
}

export function toEntry(g: string, version: number, entry: EntryDocument): Entry {
  if (entry.d === undefined) throw new Error("The projection left the value out.");
  return { ...toEntryInfo(g, version, entry), value: toBytes(entry.d) };
}

/** The driver gives bytes back as `Buffer`, where `promoteBuffers` is on, or as `Binary`. */
function toBytes(bytes: Binary | Uint8Array): Buffer {
  const view = bytes instanceof Binary ? bytes.buffer : bytes;
  return Buffer.isBuffer(view) ? view : Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

export function toRequestDocument(
  request: RequestId,
  at: number,
  results: { readonly puts: readonly PutResult[]; readonly deletes: readonly DeleteResult[] },
): RequestDocument {
  return {
    i: requestKey(request.id),
    f: requestKey(request.fingerprint),
    at: new Date(at),
    p: results.puts.map((put) => ({ g: put.incarnation, v: put.version, a: put.createdAt })),
    d: results.deletes.map((result) => result.versions),
  };
}

export function requestKey(hex: string): Binary {
  return new Binary(Buffer.from(hex, "hex"));
}

export function hexOf(bytes: Binary | Uint8Array): string {
  return toBytes(bytes).toString("hex");
}

/** What a key's newest segment says about it. */
export interface KeyState {
  /** Where the key's next segment goes. */
  readonly next: number;
  /** The incarnation that lives; undefined where the key does not exist. */
  readonly live: LiveKey | undefined;
}

export interface LiveKey {
  readonly incarnation: string;
  /** The latest version. */
  readonly version: number;
  readonly createdAt: number;
  /** Position of the incarnation's first segment. */
  readonly base: number;
  /** Position of the latest version. Positions and versions of an incarnation go in step. */
  readonly position: number;
}

/** Of a key that no document is about. */
export const NO_STATE: KeyState = { next: 1, live: undefined };

/** Position of a version, or of where it would be. */
export function positionOf(live: LiveKey, version: number): number {
  return live.position - (live.version - version);
}

export function versionAt(live: LiveKey, position: number): number {
  return live.version - (live.position - position);
}

/** The version that an incarnation started with: 1, unless it was imported from the middle. */
export function firstVersionOf(live: LiveKey): number {
  return versionAt(live, live.base);
}
