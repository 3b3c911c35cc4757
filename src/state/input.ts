import { hash, randomBytes } from "node:crypto";

import type { Conditions, Moment, Which } from "../api.ts";
import { StateError } from "../errors.ts";
import { parseKey, type Key } from "../key.ts";
import {
  AUTHOR_CHARS_MAX,
  CONTENT_TYPE_CHARS_MAX,
  INCARNATION_CHARS_MAX,
  MESSAGE_CHARS_MAX,
  PAGE_ITEMS_DEFAULT,
  PAGE_ITEMS_MAX,
  REQUEST_ID_CHARS_MAX,
} from "../limits.ts";
import type { Condition, EntryRef, Put, RequestId, Select } from "../store.ts";

export function invalid(parameter: string, reason: string): StateError {
  return new StateError("invalid_parameter", reason, { details: { parameter } });
}

export function checkKey(text: string): Key {
  const parsed = parseKey(text);
  if (!parsed.ok) throw new StateError("invalid_key", parsed.reason);
  return parsed.key;
}

export function checkVersion(parameter: string, version: number): number {
  if (!Number.isSafeInteger(version) || version < 1) {
    throw invalid(parameter, `"${parameter}" is a version: a positive integer.`);
  }
  return version;
}

export function checkMoment(parameter: string, moment: Moment): number {
  const time = typeof moment === "number" ? Math.floor(moment) : moment.getTime();
  if (!Number.isSafeInteger(time)) throw invalid(parameter, `"${parameter}" is not a moment.`);
  return time;
}

export function checkLimit(limit: number | undefined): number {
  if (limit === undefined) return PAGE_ITEMS_DEFAULT;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > PAGE_ITEMS_MAX) {
    throw invalid("limit", `"limit" is an integer from 1 to ${PAGE_ITEMS_MAX}.`);
  }
  return limit;
}

export function checkPrefix(parameter: string, prefix: string): string {
  if (prefix.isWellFormed() && !prefix.includes("\0")) return prefix;
  throw invalid(parameter, `"${parameter}" is well-formed Unicode without U+0000.`);
}

export function toSelect(parameter: string, which: Which): Select {
  if ("version" in which) return { version: checkVersion(parameter, which.version) };
  return { asOf: checkMoment(parameter, which.at) };
}

const NO_CONDITIONS: readonly Condition[] = Object.freeze([]);

/** The conditions of one key, as the store weighs them. */
export function toConditions(key: Key, conditions: Conditions): readonly Condition[] {
  const { cas, ifMatch, ifNoneMatch } = conditions;
  if (cas === undefined && ifMatch === undefined && ifNoneMatch === undefined) return NO_CONDITIONS;
  const found: Condition[] = [];
  if (cas === 0) found.push({ kind: "absent", key });
  else if (cas !== undefined) {
    found.push({ kind: "version", key, version: checkVersion("cas", cas) });
  }
  if (ifMatch === "*") found.push({ kind: "present", key });
  else if (ifMatch !== undefined) {
    found.push({ kind: "entry", key, entries: ifMatch.filter(mayExist) });
  }
  if (ifNoneMatch === "*") found.push({ kind: "absent", key });
  else if (ifNoneMatch !== undefined) {
    found.push({ kind: "not-entry", key, entries: ifNoneMatch.filter(mayExist) });
  }
  return found;
}

/** An ETag that nobody was ever given matches nothing; stores need not cope with its length. */
function mayExist({ incarnation }: EntryRef): boolean {
  return incarnation.length <= INCARNATION_CHARS_MAX;
}

export interface PutInput {
  readonly value: string | Uint8Array;
  readonly contentType?: string;
  readonly author?: string;
  readonly message?: string;
}

/** Checks a put and hashes its value. */
export function toPut(key: Key, input: PutInput, valueBytesMax: number): Put {
  const value = typeof input.value === "string" ? Buffer.from(input.value) : input.value;
  if (value.byteLength > valueBytesMax) {
    throw new StateError(
      "value_too_large",
      `A value holds at most ${valueBytesMax} bytes; this one has ${value.byteLength}. ` +
        "Nothing was written.",
      { details: { limit: valueBytesMax } },
    );
  }
  checkLength("author", input.author, AUTHOR_CHARS_MAX);
  checkLength("message", input.message, MESSAGE_CHARS_MAX);
  checkLength("contentType", input.contentType, CONTENT_TYPE_CHARS_MAX);
  return {
    key,
    value,
    digest: hash("sha256", value, "hex"),
    contentType: input.contentType,
    author: input.author,
    message: input.message,
    imported: undefined,
  };
}

/** Refuses a text of metadata that is too long, or that could not come back as it was. */
export function checkLength(parameter: string, text: string | undefined, max: number): void {
  if (text === undefined) return;
  if (text.length > max)
    throw invalid(parameter, `"${parameter}" holds at most ${max} characters.`);
  if (!text.isWellFormed()) throw invalid(parameter, `"${parameter}" is well-formed Unicode.`);
}

/**
 * The store's form of an Idempotency-Key: `scope` says what it applies to (an id is per key), and
 * `does` all that the request would do, so that another request under the same id is refused.
 */
export function toRequestId(
  idempotencyKey: string | undefined,
  scope: readonly string[],
  does: unknown,
): RequestId | undefined {
  if (idempotencyKey === undefined) return undefined;
  if (idempotencyKey.length === 0 || idempotencyKey.length > REQUEST_ID_CHARS_MAX) {
    throw invalid(
      "Idempotency-Key",
      `"Idempotency-Key" holds 1 to ${REQUEST_ID_CHARS_MAX} characters.`,
    );
  }
  return { id: shortHash([...scope, idempotencyKey]), fingerprint: shortHash(does) };
}

function shortHash(data: unknown): string {
  return hash("sha256", JSON.stringify(data), "hex").slice(0, 32);
}

const INCARNATION_CHARS = 12;
let pool = "";
let used = 0;

/** A fresh incarnation: 72 random bits as 12 characters, of which 512 are drawn at once. */
export function newIncarnation(): string {
  if (used === pool.length) {
    pool = randomBytes(512 * 9).toString("base64url");
    used = 0;
  }
  used += INCARNATION_CHARS;
  return pool.slice(used - INCARNATION_CHARS, used);
}
