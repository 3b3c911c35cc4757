import { isUtf8 } from "node:buffer";
import { StateError } from "../../errors.ts";
import { parseKey } from "../../key.ts";
import {
  AUTHOR_CHARS_MAX,
  CONTENT_TYPE_CHARS_MAX,
  INCARNATION_CHARS_MAX,
  MESSAGE_CHARS_MAX,
} from "../../limits.ts";
import type { SourceEntry, SourceKey, Total } from "./source.ts";

/** The first line of every export. A reader refuses another format, and a version it does not know. */
export const HEADER = { format: "versioned-state-server-export", formatVersion: 1 } as const;

/** Far beyond what any key comes to, and room for its next versions in 48 bits. */
const VERSION_MAX = 2 ** 47;

/** RFC 3339 knows four digits of a year. */
const TIME_MAX = Date.parse("9999-12-31T23:59:59.999Z");

/** What ETags can hold. */
const INCARNATION_FORM = new RegExp(`^[\\w-]{1,${INCARNATION_CHARS_MAX}}$`);

const DIGEST_FORM = /^[0-9a-f]{64}$/;

/** What a line of an export says. docs/export-format.md is the reference. */
export type Line =
  | { readonly kind: "header" }
  | { readonly kind: "key"; readonly info: SourceKey }
  | { readonly kind: "entry"; readonly entry: Omit<SourceEntry, "key" | "incarnation"> }
  /** The versions since the last key line are worth nothing. */
  | { readonly kind: "withdrawn" }
  | { readonly kind: "end"; readonly total: Total };

/** The line that comes before a key's versions. */
export function keyLine({ key, incarnation, version, createdAt, digest }: SourceKey): string {
  return line({
    key,
    incarnation,
    latest: { version, createdAt: new Date(createdAt).toISOString(), digest },
  });
}

/** One version. What is undefined is left out. */
export function entryLine(entry: SourceEntry): string {
  const { version, createdAt, digest, contentType, author, message, value } = entry;
  return line({
    version,
    createdAt: new Date(createdAt).toISOString(),
    digest,
    contentType,
    author,
    message,
    ...jsonValue(value),
  });
}

/** Text as it is, all else as base64. */
function jsonValue(value: Uint8Array): { readonly value: string; readonly encoding?: "base64" } {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return isUtf8(bytes)
    ? { value: bytes.toString("utf8") }
    : { value: bytes.toString("base64"), encoding: "base64" };
}

export function withdrawnLine(): string {
  return line({ withdrawn: true });
}

export function headerLine(): string {
  return line(HEADER);
}

/** The last line: a stream without it was cut off. */
export function endLine(total: Total): string {
  return line({ end: total });
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

type Json = Readonly<Record<string, unknown>>;

/** Reads a line; throws where it is none of an export. */
export function parseLine(text: string, number: number): Line {
  const json = parseObject(text, number);
  const reader = new LineReader(json, number);
  if ("format" in json) return readHeader(json, number);
  if ("key" in json) return { kind: "key", info: readKey(reader) };
  if ("withdrawn" in json) return { kind: "withdrawn" };
  if ("end" in json) {
    const end = reader.object("end");
    return { kind: "end", total: { keys: end.number("keys"), versions: end.number("versions") } };
  }
  return { kind: "entry", entry: readEntry(reader) };
}

/** An export that can't be read further. What came before it has been imported. */
export function formatError(number: number, what: string): StateError {
  const before = number > 2 ? "What came before it may have been" : "Nothing was";
  return new StateError(
    "invalid_body",
    `Line ${number} of the export ${what}. ${before} imported.`,
  );
}

function parseObject(text: string, number: number): Json {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed))
      return { ...parsed };
  } catch {
    // The same as JSON that is no object.
  }
  throw formatError(number, "is no JSON object");
}

function readHeader(json: Json, number: number): Line {
  if (json["format"] !== HEADER.format) throw formatError(number, "names another format");
  if (json["formatVersion"] === HEADER.formatVersion) return { kind: "header" };
  const version = JSON.stringify(json["formatVersion"]);
  throw formatError(number, `has format version ${version}; this program knows version 1`);
}

function readKey(reader: LineReader): SourceKey {
  const parsed = parseKey(reader.text("key"));
  if (!parsed.ok) throw reader.error(`has a key that is not legal: ${parsed.reason}`);
  const latest = reader.object("latest");
  return {
    key: parsed.key,
    incarnation: reader.matching("incarnation", INCARNATION_FORM),
    version: latest.version("version"),
    createdAt: latest.time("createdAt"),
    digest: latest.matching("digest", DIGEST_FORM),
    // Not in the export, and of no use before the value itself is read.
    size: 0,
  };
}

function readEntry(reader: LineReader): Omit<SourceEntry, "key" | "incarnation"> {
  const isBase64 = reader.optionalText("encoding") === "base64";
  const value = Buffer.from(reader.text("value"), isBase64 ? "base64" : "utf8");
  return {
    version: reader.version("version"),
    createdAt: reader.time("createdAt"),
    digest: reader.matching("digest", DIGEST_FORM),
    size: value.byteLength,
    contentType: reader.shortText("contentType", CONTENT_TYPE_CHARS_MAX),
    author: reader.shortText("author", AUTHOR_CHARS_MAX),
    message: reader.shortText("message", MESSAGE_CHARS_MAX),
    value,
  };
}

/** The members of a line, each with an error that names it. */
class LineReader {
  readonly #json: Json;
  readonly #number: number;

  constructor(json: Json, number: number) {
    this.#json = json;
    this.#number = number;
  }

  text(name: string): string {
    const value = this.#json[name];
    if (typeof value === "string") return value;
    throw this.error(`has no text "${name}"`);
  }

  optionalText(name: string): string | undefined {
    return this.#json[name] === undefined ? undefined : this.text(name);
  }

  matching(name: string, form: RegExp): string {
    const value = this.text(name);
    if (form.test(value)) return value;
    throw this.error(`has a "${name}" that no store gives`);
  }

  /** A text as long as a put may have it, and which UTF-8 can hold. */
  shortText(name: string, charsMax: number): string | undefined {
    const value = this.optionalText(name);
    if (value === undefined || (value.length <= charsMax && value.isWellFormed())) return value;
    throw this.error(`has a "${name}" over ${charsMax} characters, or not of Unicode`);
  }

  number(name: string): number {
    const value = this.#json[name];
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    throw this.error(`has no whole number "${name}"`);
  }

  version(name: string): number {
    const value = this.number(name);
    if (value > 0 && value <= VERSION_MAX) return value;
    throw this.error(`has a "${name}" that is not from 1 to ${VERSION_MAX}`);
  }

  time(name: string): number {
    const ms = Date.parse(this.text(name));
    if (ms >= 0 && ms <= TIME_MAX) return ms;
    throw this.error(`has no time "${name}" from 1970 to 9999`);
  }

  object(name: string): LineReader {
    const value = this.#json[name];
    if (typeof value === "object" && value !== null)
      return new LineReader({ ...value }, this.#number);
    throw this.error(`has no object "${name}"`);
  }

  error(what: string): StateError {
    return formatError(this.#number, what);
  }
}
