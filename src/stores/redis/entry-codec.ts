import type { EntryInfo, EntryRef, Put, Query, ReadResult, StoredEntry } from "../../store.ts";
import { ByteReader, type ByteWriter } from "./bytes.ts";
import type { Reply } from "./connection.ts";
import { TRIMMED } from "./scripts.ts";

/**
 * An entry as it is stored: its time in 6 bytes (which the script puts in front), flags in 1, the
 * value's size in 4, the digest in 32, the strings that the flags announce, and the value. A large
 * value lies in a field of its own, so that a list of versions never moves it.
 */
const LARGE = 1;
const CONTENT_TYPE = 2;
const AUTHOR = 4;
const MESSAGE = 8;

/** Values above this many bytes are large. A page of history reads past at most 1,000 of this. */
const INLINE_VALUE_BYTES_MAX = 1024;

const DIGEST_BYTES = 32;
/** Where the incarnation stands in a head; its length stands just before. */
const HEAD_INCARNATION = 13;
const TIME_BYTES = 6;
const FIRST_VERSION_BYTES = 6;

export function isLarge(value: Uint8Array): boolean {
  return value.length > INLINE_VALUE_BYTES_MAX;
}

/** Writes an entry without its time; a large value has to be sent apart. */
export function writeEntry(writer: ByteWriter, put: Put): void {
  const { value, contentType, author, message } = put;
  const large = isLarge(value);
  writer.u8(
    (large ? LARGE : 0) |
      (contentType === undefined ? 0 : CONTENT_TYPE) |
      (author === undefined ? 0 : AUTHOR) |
      (message === undefined ? 0 : MESSAGE),
  );
  writer.u32(value.length);
  writer.hex(put.digest);
  if (contentType !== undefined) writer.text(contentType);
  if (author !== undefined) writer.text(author);
  if (message !== undefined) writer.text(message);
  if (!large) writer.bytes(value);
}

/** The elements of a reply, in order. */
export type Elements = Iterator<Reply, undefined>;

/**
 * Reads the answer to one query. A value shares the memory of the reply that it came in; a large one
 * is left undefined, also where it was asked for.
 */
export function readItem(elements: Elements, { select, value }: Omit<Query, "key">): ReadResult {
  let element = elements.next().value;
  let version: number | undefined;
  if (select !== "latest") {
    if ("version" in select) {
      ({ version } = select);
    } else if (typeof element === "number" && element > 0) {
      version = element;
      element = elements.next().value;
    }
  }
  if (element === null) return undefined;
  if (element === TRIMMED) return "trimmed";
  const head = toBuffer(element);
  return decodeEntry(head, toBuffer(elements.next().value), { version, value });
}

/** Decodes an entry without its value. */
export function decodeInfo(head: Buffer, stored: Buffer, version: number): EntryInfo {
  const place = { incarnation: incarnationIn(head), version };
  return readInfo(new ByteReader(stored), place);
}

/** Reads a head, and behind it the latest entry without its value. */
export function readLatestInfo(reader: ByteReader): EntryInfo {
  return readInfo(reader, readHead(reader, reader.u48()));
}

/**
 * The same with its value, which shares the reader's memory; a large one is left undefined. Undefined
 * for a version of 0, which stands for a key that does not exist.
 */
export function readLatest(reader: ByteReader): StoredEntry | undefined {
  const version = reader.u48();
  if (version === 0) return undefined;
  const ref = readHead(reader, version);
  const isElsewhere = (reader.peek(TIME_BYTES) & LARGE) !== 0;
  const info = readInfo(reader, ref);
  return { ...info, value: isElsewhere ? undefined : reader.bytes(info.size) };
}

/** Reads a head from behind its version. */
function readHead(reader: ByteReader, version: number): EntryRef {
  reader.skip(TIME_BYTES);
  const incarnation = reader.text(reader.u8());
  reader.skip(FIRST_VERSION_BYTES + String(version).length);
  return { incarnation, version };
}

function readInfo(reader: ByteReader, { incarnation, version }: EntryRef): EntryInfo {
  const createdAt = reader.u48();
  const flags = reader.u8();
  return {
    incarnation,
    version,
    createdAt,
    size: reader.u32(),
    digest: reader.hex(DIGEST_BYTES),
    contentType: readText(reader, flags & CONTENT_TYPE),
    author: readText(reader, flags & AUTHOR),
    message: readText(reader, flags & MESSAGE),
  };
}

function readText(reader: ByteReader, flag: number): string | undefined {
  return flag === 0 ? undefined : reader.text(reader.u16());
}

interface Wanted {
  /** The latest, which the head names, where undefined. */
  readonly version: number | undefined;
  readonly value: boolean;
}

function decodeEntry(head: Buffer, stored: Buffer, wanted: Wanted): StoredEntry {
  const reader = new ByteReader(stored);
  const version = wanted.version ?? versionIn(head);
  const info = readInfo(reader, { incarnation: incarnationIn(head), version });
  const isElsewhere = ((stored[TIME_BYTES] ?? 0) & LARGE) !== 0;
  return { ...info, value: wanted.value && !isElsewhere ? reader.bytes(info.size) : undefined };
}

/** The latest version that a head names. */
export function versionIn(head: Buffer): number {
  return head.readUIntBE(0, 6);
}

/** The incarnation that a head names. */
export function incarnationIn(head: Buffer): string {
  const end = HEAD_INCARNATION + (head[HEAD_INCARNATION - 1] ?? 0);
  return head.toString("utf8", HEAD_INCARNATION, end);
}

export function toBuffer(reply: Reply | undefined): Buffer {
  if (Buffer.isBuffer(reply)) return reply;
  throw new Error("Redis answered something else than a script of ours does.");
}
