import type { EntryInfo, Put, Query, ReadResult, StoredEntry } from "../../store.ts";
import { ByteReader, type ByteWriter } from "./bytes.ts";
import type { Reply } from "./connection.ts";
import { LATER, TRIMMED } from "./scripts.ts";

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

/** The answer to one query: `later` where it did not fit and has to be asked for again. */
export type Item = ReadResult | "later";

/** Reads the answer to one query. Values share the memory of the reply that they came in. */
export function readItem(elements: Elements, { select, value }: Omit<Query, "key">): Item {
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
  if (element === LATER) return "later";
  const head = toBuffer(element);
  const stored = toBuffer(elements.next().value);
  return decodeEntry(head, stored, { version, value: value ? elements : undefined });
}

/** As {@link readItem}, of an entry that is there, whose value was not asked for. */
export function decodeInfo(head: Buffer, stored: Buffer, version: number | undefined): EntryInfo {
  const { value: _, ...info } = decodeEntry(head, stored, { version, value: undefined });
  return info;
}

interface Wanted {
  /** The latest, which the head names, where undefined. */
  readonly version: number | undefined;
  /** Where to find a large value; no value is wanted where undefined. */
  readonly value: Elements | undefined;
}

function decodeEntry(head: Buffer, stored: Buffer, wanted: Wanted): StoredEntry {
  const incarnationEnd = HEAD_INCARNATION + (head[HEAD_INCARNATION - 1] ?? 0);
  const reader = new ByteReader(stored);
  const createdAt = reader.u48();
  const flags = reader.u8();
  const size = reader.u32();
  return {
    incarnation: head.toString("utf8", HEAD_INCARNATION, incarnationEnd),
    version: wanted.version ?? head.readUIntBE(0, 6),
    createdAt,
    size,
    digest: reader.hex(DIGEST_BYTES),
    contentType: (flags & CONTENT_TYPE) === 0 ? undefined : reader.text(reader.u16()),
    author: (flags & AUTHOR) === 0 ? undefined : reader.text(reader.u16()),
    message: (flags & MESSAGE) === 0 ? undefined : reader.text(reader.u16()),
    value:
      wanted.value &&
      ((flags & LARGE) === 0 ? reader.bytes(size) : toBuffer(wanted.value.next().value)),
  };
}

export function toBuffer(reply: Reply | undefined): Buffer {
  if (Buffer.isBuffer(reply)) return reply;
  throw new Error("Redis answered something else than a script of ours does.");
}
