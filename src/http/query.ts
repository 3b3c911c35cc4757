import * as v from "valibot";

import { StateError } from "../errors.ts";
import { KEY_BYTES_MAX } from "../limits.ts";
import { parseVersion } from "./path.ts";
import { parseRfc3339 } from "./times.ts";

/** A query parameter: text on the way in, checked and perhaps converted. */
export type Parameter<T = unknown> = v.GenericSchema<string, T>;

/** The parameters of one route. `schema` is what OpenAPI documents. */
export interface QueryParser<T> {
  (url: string): T;
  readonly schema: v.GenericSchema<unknown, T> & {
    readonly entries: Readonly<Record<string, v.GenericSchema>>;
  };
}

type Entries = Readonly<Record<string, Parameter | v.ExactOptionalSchema<Parameter, undefined>>>;

/**
 * Makes the parser of a route's query. A parameter that is unknown, repeated, missing or not legal is
 * a 400 that names it: a mistyped `cas` must never write.
 */
export function queryParser<const E extends Entries>(
  entries: E,
): QueryParser<v.InferOutput<v.StrictObjectSchema<E, undefined>>> {
  const schema = v.strictObject(entries);
  const none = v.safeParse(schema, {});
  const parse = (url: string): v.InferOutput<typeof schema> => {
    const start = url.indexOf("?");
    // Most requests have no query, and none of these objects is ever written to.
    if (start === -1 && none.success) return none.output;
    const query = start === -1 ? "" : url.slice(start + 1);
    const parsed = v.safeParse(schema, toRecord(query, entries), { abortEarly: true });
    if (parsed.success) return parsed.output;
    throw toError(parsed.issues[0]);
  };
  return Object.assign(parse, { schema });
}

/** Splits a query as forms do: "+" is a blank, escapes are UTF-8. */
function toRecord(query: string, known: Entries): Record<string, string> {
  const record: Record<string, string> = {};
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    const end = pair.indexOf("=");
    const name = decode(end === -1 ? pair : pair.slice(0, end), undefined);
    const value = end === -1 ? "" : decode(pair.slice(end + 1), name);
    if (!Object.hasOwn(known, name)) throw unknownParameter(name, Object.keys(known));
    if (Object.hasOwn(record, name)) {
      throw invalidParameter(name, `"${name}" stands more than once.`);
    }
    record[name] = value;
  }
  return record;
}

function decode(escaped: string, name: string | undefined): string {
  try {
    return decodeURIComponent(escaped.replaceAll("+", " "));
  } catch (cause) {
    const where = name === undefined ? "A parameter's name" : `"${name}"`;
    throw new StateError(
      "invalid_parameter",
      `${where} holds a "%" that begins no two hexadecimal digits, or bytes that are not UTF-8.`,
      { cause, details: { parameter: name ?? escaped } },
    );
  }
}

function unknownParameter(parameter: string, known: readonly string[]): StateError {
  const names = known.length === 0 ? "It takes none" : `It takes ${known.join(", ")}`;
  return new StateError(
    "unknown_parameter",
    `"${parameter}" is not a parameter of this request. ${names}. Nothing was written.`,
    { details: { parameter } },
  );
}

function toError(issue: v.BaseIssue<unknown>): StateError {
  const parameter = v.getDotPath(issue) ?? "";
  // What is unknown was refused before, so the object itself can only lack something.
  const isMissing = issue.type === "strict_object";
  return invalidParameter(parameter, `"${parameter}" ${isMissing ? "is missing" : issue.message}.`);
}

/** A 400 that names the parameter. */
export function invalidParameter(parameter: string, message: string): StateError {
  return new StateError("invalid_parameter", message, { details: { parameter } });
}

/** An integer in its one decimal form. */
export function integer(min: number, max: number, description: string): Parameter<number> {
  const bounds =
    max === Number.MAX_SAFE_INTEGER
      ? `an integer of at least ${min}`
      : `an integer from ${min} to ${max}`;
  return v.pipe(
    v.string(),
    v.regex(/^(?:0|[1-9][0-9]{0,15})$/, `is ${bounds}`),
    v.transform(Number),
    v.number(),
    v.integer(),
    v.minValue(min, `is ${bounds}`),
    v.maxValue(max, `is ${bounds}`),
    v.description(description),
  );
}

export function text(charsMax: number, description: string): Parameter<string> {
  return v.pipe(
    v.string(),
    v.maxLength(charsMax, `holds at most ${charsMax} characters`),
    v.check((value) => !value.includes("\0"), "may not hold U+0000"),
    v.description(description),
  );
}

/** `?name`, `?name=true` or `?name=false`. */
export function flag(description: string): Parameter<boolean> {
  return v.pipe(
    v.string(),
    v.picklist(["", "true", "false"], "is true or false"),
    v.transform((value) => value !== "false"),
    v.boolean(),
    v.description(description),
  );
}

/** A moment in RFC 3339, as milliseconds since 1970. */
export function moment(description: string): Parameter<string> {
  return v.pipe(
    v.string(),
    v.check((value) => parseRfc3339(value) !== undefined, "is a time such as 2026-11-21T10:00:00Z"),
    v.metadata({ format: "date-time" }),
    v.description(description),
  );
}

/** One of a few words. */
export function choice<const T extends readonly string[]>(
  words: T,
  description: string,
): Parameter<T[number]> {
  return v.pipe(
    v.string(),
    v.picklist(words, `is one of ${words.join(", ")}`),
    v.description(description),
  );
}

/** A prefix or delimiter: part of a key, perhaps empty. */
export function prefix(description: string): Parameter<string> {
  return text(KEY_BYTES_MAX, description);
}

/** A version number, or a moment. */
export function versionOrMoment(description: string): Parameter<string> {
  return v.pipe(
    v.string(),
    v.check(
      (value) => parseVersion(value) !== undefined || parseRfc3339(value) !== undefined,
      "is a version, or a time such as 2026-11-21T10:00:00Z",
    ),
    v.description(description),
  );
}

/** Longest cursor of a list: that of the longest key, as base64. */
export const CURSOR_CHARS_MAX = 1024;

/** A parameter that may be left out, and is then absent from what the parser answers. */
export const optional = v.exactOptional;
