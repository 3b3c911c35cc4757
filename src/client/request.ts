import type { Conditions, Moment, Which } from "../api.ts";
import { StateError } from "../errors.ts";
import { parseKey } from "../key.ts";
import type { EntryRef } from "../store.ts";
import { toEtag } from "./wire.ts";

/** A key as a path's one segment. A key that is not legal never leaves the client. */
export function keyPath(key: string): string {
  const parsed = parseKey(key);
  if (!parsed.ok) throw new StateError("invalid_key", parsed.reason);
  return encodeURIComponent(key);
}

/**
 * Query parameters, of which those that are undefined are left out. Throws for half a surrogate pair,
 * which would arrive as another character, and make a prefix another one.
 */
export function query(
  parameters: Readonly<Record<string, string | number | boolean | undefined>>,
): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  if (given.length === 0) return "";
  for (const [name, value] of given) {
    if (typeof value !== "string" || value.isWellFormed()) continue;
    throw new StateError("invalid_parameter", `"${name}" is well-formed Unicode.`, {
      details: { parameter: name },
    });
  }
  const pairs = given.map(([name, value]) => [name, String(value)]);
  return `?${new URLSearchParams(pairs).toString()}`;
}

/** Throws `invalid_parameter` for what is no moment. */
export function momentText(parameter: string, moment: Moment): string {
  const date = new Date(moment);
  if (!Number.isNaN(date.getTime())) return date.toISOString();
  throw new StateError(
    "invalid_parameter",
    `"${parameter}" is milliseconds since 1970, or a Date.`,
    {
      details: { parameter },
    },
  );
}

/** `?version=` or `?at=`. */
export function whichParameters(which: Which): Readonly<Record<string, string | number>> {
  return "version" in which
    ? { version: versionNumber("version", which.version) }
    : { at: momentText("at", which.at) };
}

/** Either end of a diff: a version or a time. */
export function whichText(parameter: string, which: Which): string {
  return "version" in which
    ? String(versionNumber(parameter, which.version))
    : momentText(parameter, which.at);
}

/** A number that is no version would be another path, and another answer than "no such version". */
export function versionNumber(parameter: string, version: number): number {
  if (Number.isSafeInteger(version) && version >= 1) return version;
  throw new StateError(
    "invalid_parameter",
    `"${parameter}" is a version: an integer of at least 1.`,
    {
      details: { parameter },
    },
  );
}

/** The headers of conditions; `cas` is a parameter and stands elsewhere. */
export function conditionHeaders({ ifMatch, ifNoneMatch }: Conditions): Record<string, string> {
  return {
    ...(ifMatch === undefined ? {} : { "If-Match": tagsText(ifMatch) }),
    ...(ifNoneMatch === undefined ? {} : { "If-None-Match": tagsText(ifNoneMatch) }),
  };
}

/** No tag at all is a condition too: of `If-Match`, one that nothing meets. */
export function tagsText(tags: readonly EntryRef[] | "*"): string {
  if (tags === "*") return "*";
  return tags.length === 0 ? '"none"' : tags.map(toEtag).join(", ");
}

/** An id that makes a repeated write harmless: the caller's, or one that nobody else makes. */
export function idempotencyHeaders(given: string | undefined): Record<string, string> {
  const id = given ?? randomId();
  if (!/^[\x20-\x7e]{1,256}$/.test(id)) {
    throw new StateError(
      "invalid_parameter",
      '"idempotencyKey" holds 1 to 256 printable ASCII characters.',
      { details: { parameter: "idempotencyKey" } },
    );
  }
  return { "Idempotency-Key": `"${id.replaceAll(/["\\]/g, "\\$&")}"` };
}

function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
