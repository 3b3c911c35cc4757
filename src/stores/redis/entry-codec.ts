import type { EntryInfo, Put, ReadResult, StoredEntry } from "../../store.ts";
import type { ByteReader, ByteWriter } from "./bytes.ts";

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

const HEAD_NUMBERS_BYTES = 18;
const DIGEST_BYTES = 32;
const LENGTH_ABSENT = 0;
const LENGTH_TRIMMED = 0xffffffff;
const LENGTH_LATER = 0xfffffffe;

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

/** Large values of a reply, in the order of the items that they belong to. */
export type LargeValues = Iterator<Buffer, undefined>;

/** The answer to one read: `later` where it did not fit and has to be asked for again. */
export type Item = ReadResult | "later";

/** Reads an item that may be absent; `large` is undefined where no value was asked for. */
export function readItem(reader: ByteReader, large: LargeValues | undefined): Item {
  const length = reader.u32();
  switch (length) {
    case LENGTH_ABSENT:
      return undefined;
    case LENGTH_TRIMMED:
      return "trimmed";
    case LENGTH_LATER:
      return "later";
    default:
      return readStored(reader, large);
  }
}

/** As {@link readItem}, where entries were asked for that are there. */
export function readInfo(reader: ByteReader): EntryInfo {
  reader.u32();
  const { value: _, ...info } = readStored(reader, undefined);
  return info;
}

function readStored(reader: ByteReader, large: LargeValues | undefined): StoredEntry {
  const version = reader.u48();
  const incarnation = readIncarnation(reader);
  const createdAt = reader.u48();
  const flags = reader.u8();
  const size = reader.u32();
  return {
    incarnation,
    version,
    createdAt,
    size,
    digest: reader.hex(DIGEST_BYTES),
    contentType: (flags & CONTENT_TYPE) === 0 ? undefined : reader.text(reader.u16()),
    author: (flags & AUTHOR) === 0 ? undefined : reader.text(reader.u16()),
    message: (flags & MESSAGE) === 0 ? undefined : reader.text(reader.u16()),
    value: large && readValue(reader, (flags & LARGE) === 0 ? size : undefined, large),
  };
}

/** Of the head only the incarnation is needed: the version stands before it, the time in the entry. */
function readIncarnation(reader: ByteReader): string {
  const headLength = reader.u8();
  reader.skip(HEAD_NUMBERS_BYTES);
  return reader.text(headLength - HEAD_NUMBERS_BYTES);
}

function readValue(reader: ByteReader, size: number | undefined, large: LargeValues): Uint8Array {
  if (size !== undefined) return reader.bytes(size);
  const { value } = large.next();
  if (value === undefined) throw new Error("A reply holds fewer large values than it announces.");
  return value;
}
