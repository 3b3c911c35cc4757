import type { Conditions, WriteOptions } from "../api.ts";
import { StateError } from "../errors.ts";
import { parseEtags } from "./etag.ts";
import type { Exchange } from "./exchange.ts";
import { integer, optional } from "./query.ts";

/** `?cas=`, the form of a condition that is easy to type. */
export const CAS = optional(
  integer(
    0,
    Number.MAX_SAFE_INTEGER,
    "Only if the latest version has this number; 0: only if the key does not exist. Unlike " +
      "`If-Match`, it can't tell a key from one deleted and put again.",
  ),
);

/** Options are built up by ifs, not by spreading: PUT is where writes spend their time. */
export type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

/**
 * A request's conditions on the key it writes; an empty object where it has none. Throws for headers
 * that ask for what a write here does not do: without them it would do something else.
 */
export function conditionsOf(exchange: Exchange, cas: number | undefined): Mutable<Conditions> {
  const { headers } = exchange.request;
  if (headers["if-unmodified-since"] !== undefined) {
    throw refused("A write has no condition on times. Send If-Match with an ETag, or ?cas=.");
  }
  if (headers["content-range"] !== undefined) {
    throw refused("A PUT replaces the whole value. Send all of it, without Content-Range.");
  }
  const ifMatch = headers["if-match"];
  const ifNoneMatch = headers["if-none-match"];
  const found: Mutable<Conditions> = {};
  if (cas !== undefined) found.cas = cas;
  if (ifMatch !== undefined) found.ifMatch = parseEtags("If-Match", ifMatch, { weak: false });
  if (ifNoneMatch !== undefined) {
    found.ifNoneMatch = parseEtags("If-None-Match", ifNoneMatch, { weak: true });
  }
  return found;
}

function refused(reason: string): StateError {
  return new StateError("invalid_request", `${reason} Nothing was written.`);
}

/** A write's conditions and its id, as a PUT and a restore have them. */
export function writeOptionsOf(exchange: Exchange, cas: number | undefined): Mutable<WriteOptions> {
  const options: Mutable<WriteOptions> = conditionsOf(exchange, cas);
  checkRequired(exchange, options);
  const idempotencyKey = idempotencyKeyOf(exchange);
  if (idempotencyKey !== undefined) options.idempotencyKey = idempotencyKey;
  return options;
}

/** Refuses a write without any condition, where the server was started to want one. */
function checkRequired(exchange: Exchange, conditions: Conditions): void {
  if (!exchange.server.requireConditions || Object.keys(conditions).length > 0) return;
  throw new StateError(
    "condition_required",
    "This server takes no write without a condition. Send ?cas= with the latest version, If-Match " +
      "with its ETag, or If-None-Match: * for a new key. Nothing was written.",
  );
}

/** The client's id for a write, with or without the quotes of a structured header. */
export function idempotencyKeyOf(exchange: Exchange): string | undefined {
  const sent = exchange.header("idempotency-key");
  if (sent === undefined) return undefined;
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(sent);
  return quoted?.[1]?.replaceAll(/\\(["\\])/g, "$1") ?? sent;
}
