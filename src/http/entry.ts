import { isUtf8 } from "node:buffer";

import type { HistoryItem } from "../api.ts";
import type { EntryInfo } from "../store.ts";
import { JSON_TYPE, type Answer } from "./answer.ts";
import { usefulContentType } from "./body.ts";
import { isNamed, parseEtags, toEtag } from "./etag.ts";
import type { Exchange } from "./exchange.ts";
import { LargeText } from "./large-text.ts";
import { overloaded } from "./load.ts";
import { toHttpDate, toRfc3339 } from "./times.ts";

/** A value as JSON can carry it. */
export interface JsonValue {
  readonly value: string;
  /** Only where the value is not UTF-8. */
  readonly encoding?: "base64";
}

function toBuffer(value: Uint8Array): Buffer {
  if (Buffer.isBuffer(value)) return value;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

export function toJsonValue(value: Uint8Array): JsonValue {
  const bytes = toBuffer(value);
  if (isUtf8(bytes)) return { value: bytes.toString("utf8") };
  return { value: bytes.toString("base64"), encoding: "base64" };
}

/** Making JSON of a value of this size takes about a quarter of a millisecond. */
const LARGE_BYTES = 128 * 1024;

/** Answers a read with an entry: 304, its bytes, its JSON form, or of a HEAD the headers alone. */
export function entryAnswer(
  exchange: Exchange,
  entry: EntryInfo & { readonly value?: Uint8Array },
  options: { readonly raw: boolean },
): Answer | Promise<Answer> {
  const headers: Record<string, string | number> = {
    "Content-Type": JSON_TYPE,
    ETag: toEtag(entry),
    "Last-Modified": toHttpDate(entry.createdAt),
    "Cache-Control": "no-cache",
  };
  const held = exchange.request.headers["if-none-match"];
  if (held !== undefined && isNamed(entry, parseEtags("If-None-Match", held, { weak: true }))) {
    delete headers["Content-Type"];
    return { status: 304, headers, body: "" };
  }
  if (entry.value === undefined) {
    return { status: 200, headers: { ...headers, ...metadataHeaders(entry) }, body: "" };
  }
  if (options.raw) return rawAnswer(entry, entry.value, headers);
  if (entry.value.byteLength >= LARGE_BYTES) {
    return largeAnswer(exchange, { value: entry.value, version: entry.version }, headers);
  }
  return { status: 200, headers, body: entryText(entry.value, entry.version) };
}

/** Is made by and by, and not where nobody takes it or there is no room for it. */
async function largeAnswer(
  { server, response }: Exchange,
  { value, version }: { readonly value: Uint8Array; readonly version: number },
  headers: Record<string, string | number>,
): Promise<Answer> {
  const large = new LargeText(toBuffer(value));
  let isBegun = false;
  await server.largeAnswers.run(() => {
    if (response.destroyed) return true;
    if (!isBegun && !server.load.hasRoom(value.byteLength)) throw overloaded();
    isBegun = true;
    return large.step();
  });
  const encoding = large.isText ? "" : ',"encoding":"base64"';
  const start = Buffer.from('{"value":"');
  const end = Buffer.from(`"${encoding},"version":${version}}`);
  return { status: 200, headers, body: [start, ...large.pieces, end] };
}

/** The four routes' JSON, written by hand: this is the answer that servers spend their time on. */
function entryText(value: Uint8Array, version: number): string {
  const json = toJsonValue(value);
  const encoding = json.encoding === undefined ? "" : ',"encoding":"base64"';
  return `{"value":${JSON.stringify(json.value)}${encoding},"version":${version}}`;
}

/**
 * The bytes themselves. Sandboxed and never sniffed, so that a stored page can't act as this server's
 * own; and shown inline, without a file name: one taken from a key could overwrite a file of whoever
 * downloads it.
 */
function rawAnswer(
  entry: EntryInfo,
  value: Uint8Array,
  headers: Record<string, string | number>,
): Answer {
  const plainType = isUtf8(value) ? "text/plain; charset=utf-8" : "application/octet-stream";
  Object.assign(headers, metadataHeaders(entry), {
    "Content-Type": usefulContentType(entry.contentType) ?? plainType,
    "Repr-Digest": `sha-256=:${Buffer.from(entry.digest, "hex").toString("base64")}:`,
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox",
  });
  return { status: 200, headers, body: value };
}

/** An entry's metadata as headers. Free text is percent-encoded, as headers are ASCII. */
function metadataHeaders(info: EntryInfo): Record<string, string> {
  // The library takes any text, and a header does not.
  const contentType = usefulContentType(info.contentType);
  return {
    "VSS-Version": String(info.version),
    "VSS-Created-At": toRfc3339(info.createdAt),
    "VSS-Size": String(info.size),
    "VSS-Digest": info.digest,
    ...(contentType === undefined ? {} : { "VSS-Content-Type": contentType }),
    ...(info.author === undefined ? {} : { "VSS-Author": encodeURIComponent(info.author) }),
    ...(info.message === undefined ? {} : { "VSS-Message": encodeURIComponent(info.message) }),
  };
}

/**
 * An entry's members in JSON, as lists have them. Written by hand: a page of objects takes twice as
 * long to make and to turn into text.
 */
export function infoMembers(info: HistoryItem): string {
  return (
    `"version":${info.version},"size":${info.size}${member("contentType", info.contentType)},` +
    `"createdAt":"${toRfc3339(info.createdAt)}","digest":"${info.digest}",` +
    `"etag":${JSON.stringify(toEtag(info))}${member("author", info.author)}` +
    `${member("message", info.message)}${valueMembers(info.value)}`
  );
}

function valueMembers(value: Uint8Array | undefined): string {
  if (value === undefined) return "";
  const json = toJsonValue(value);
  return member("value", json.value) + member("encoding", json.encoding);
}

/** A member behind others, in JSON; nothing where it is undefined. */
export function member(name: string, value: string | number | undefined): string {
  return value === undefined ? "" : `,"${name}":${JSON.stringify(value)}`;
}
