import type { HistoryItem } from "../api.ts";
import { StateError } from "../errors.ts";
import type { EntryInfo, EntryRef } from "../store.ts";

/** A JSON object of an answer, whose members are checked as they are read. */
export type Json = Readonly<Record<string, unknown>>;

/** Parses an answer that has to be a JSON object. */
export function parseJson(bytes: Uint8Array | string): Json {
  try {
    const text = typeof bytes === "string" ? bytes : new TextDecoder().decode(bytes);
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed))
      return { ...parsed };
  } catch {
    // Falls through to the same error: it is not what this server answers.
  }
  throw foreign("no JSON object");
}

export function textOf(json: Json, name: string): string {
  const value = json[name];
  if (typeof value === "string") return value;
  throw foreign(`no text "${name}"`);
}

export function optionalText(json: Json, name: string): string | undefined {
  return json[name] === undefined ? undefined : textOf(json, name);
}

export function numberOf(json: Json, name: string): number {
  const value = json[name];
  if (typeof value === "number") return value;
  throw foreign(`no number "${name}"`);
}

/** One of a few words. */
export function wordOf<const T extends string>(json: Json, name: string, words: readonly T[]): T {
  const word = words.find((known) => known === json[name]);
  if (word !== undefined) return word;
  throw foreign(`a "${name}" that is none of ${words.join(", ")}`);
}

export function objectOf(json: Json, name: string): Json {
  const value = json[name];
  if (typeof value === "object" && value !== null) return { ...value };
  throw foreign(`no object "${name}"`);
}

/** A list of objects. */
export function listOf(json: Json, name: string): readonly Json[] {
  return itemsOf(json, name).map((item) => {
    if (typeof item === "object" && item !== null) return { ...item };
    throw foreign(`no list "${name}" of objects`);
  });
}

/** A list of texts. */
export function textsOf(json: Json, name: string): readonly string[] {
  return itemsOf(json, name).map((item) => {
    if (typeof item === "string") return item;
    throw foreign(`no list "${name}" of texts`);
  });
}

function itemsOf(json: Json, name: string): readonly unknown[] {
  const value = json[name];
  if (Array.isArray(value)) return value;
  throw foreign(`no list "${name}"`);
}

export function timeOf(json: Json, name: string): number {
  return parseTime(textOf(json, name));
}

/** An entry's metadata as lists and events have it. */
export function infoOf(json: Json): EntryInfo {
  const { incarnation, version } = parseEtag(textOf(json, "etag"));
  return {
    incarnation,
    version,
    size: numberOf(json, "size"),
    createdAt: timeOf(json, "createdAt"),
    digest: textOf(json, "digest"),
    contentType: optionalText(json, "contentType"),
    author: optionalText(json, "author"),
    message: optionalText(json, "message"),
  };
}

/** The same with its value, where it was sent. */
export function itemOf(json: Json): HistoryItem {
  const info = infoOf(json);
  return json["value"] === undefined ? info : { ...info, value: valueOf(json) };
}

/** A value's bytes: text is UTF-8, everything else comes as base64. */
export function valueOf(json: Json): Uint8Array {
  const text = textOf(json, "value");
  return json["encoding"] === "base64" ? fromBase64(text) : new TextEncoder().encode(text);
}

/** An entry's metadata as the headers of a read have it. */
export function infoOfHeaders(headers: Headers): EntryInfo {
  const need = (name: string): string => {
    const value = headers.get(name);
    if (value === null) throw foreign(`no header ${name}`);
    return value;
  };
  const decoded = (name: string): string | undefined => {
    const value = headers.get(name);
    return value === null ? undefined : decodeURIComponent(value);
  };
  return {
    ...parseEtag(need("etag")),
    size: Number(need("vss-size")),
    createdAt: parseTime(need("vss-created-at")),
    digest: need("vss-digest"),
    contentType: headers.get("vss-content-type") ?? undefined,
    author: decoded("vss-author"),
    message: decoded("vss-message"),
  };
}

/** `"<incarnation>.<version>"`, with its quotes. */
export function parseEtag(etag: string): EntryRef {
  const match = /^"([^".]+)\.([1-9]\d*)"$/.exec(etag);
  if (match === null) throw foreign("an ETag that is not this server's");
  return { incarnation: match[1] ?? "", version: Number(match[2]) };
}

export function toEtag({ incarnation, version }: EntryRef): string {
  return `"${incarnation}.${version}"`;
}

function parseTime(text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw foreign(`no time, but "${text}"`);
  return ms;
}

/** In pieces: a call takes only so many arguments. */
export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (let start = 0; start < bytes.length; start += BINARY_PIECE) {
    binary += String.fromCharCode(...bytes.subarray(start, start + BINARY_PIECE));
  }
  return btoa(binary);
}

const BINARY_PIECE = 8_192;

function fromBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index += 1) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

/** The answer is not one that a Versioned State Server makes. */
function foreign(what: string): StateError {
  return new StateError(
    "internal",
    `The answer holds ${what}: is this address a Versioned State Server's, of this version?`,
  );
}
