import type { Conditions, TransactAnswer, TransactRequest } from "../api.ts";
import { StateError } from "../errors.ts";
import { tagsText } from "./request.ts";
import type { HttpReply } from "./transport.ts";
import {
  itemOf,
  listOf,
  numberOf,
  parseEtag,
  parseJson,
  textOf,
  textsOf,
  timeOf,
  toBase64,
  type Json,
} from "./wire.ts";

/** A transaction as the body of a request. */
export function transactBody(request: TransactRequest): Uint8Array<ArrayBuffer> {
  const body = {
    if: request.if?.map(({ key, ...conditions }) => ({ key, ...conditionMembers(conditions) })),
    put: request.put?.map(({ value, ...rest }) =>
      typeof value === "string"
        ? { ...rest, value }
        : { ...rest, value: toBase64(value), encoding: "base64" },
    ),
    delete: request.delete,
    get: request.get,
  };
  return new TextEncoder().encode(JSON.stringify(body));
}

function conditionMembers({ cas, ifMatch, ifNoneMatch }: Conditions): Record<string, unknown> {
  return {
    version: cas,
    ifMatch: ifMatch === undefined ? undefined : tagsText(ifMatch),
    ifNoneMatch: ifNoneMatch === undefined ? undefined : tagsText(ifNoneMatch),
  };
}

/** The answer to a transaction. */
export function transactAnswer({ headers, bytes }: HttpReply): TransactAnswer {
  const json = parseJson(bytes);
  const replayed = headers.get("idempotency-replayed") === "true";
  const removed = json["deletedVersions"];
  const counts = Array.isArray(removed) ? removed.map(Number) : [];
  return {
    put: listOf(json, "put").map((item) => ({
      ...parseEtag(textOf(item, "etag")),
      key: textOf(item, "key"),
      createdAt: timeOf(item, "createdAt"),
      digest: textOf(item, "digest"),
      replayed,
    })),
    deleted: textsOf(json, "deleted").map((key, index) => ({ key, versions: counts[index] ?? 0 })),
    get: listOf(json, "get").map((item) => ({ key: textOf(item, "key"), entry: entryOf(item) })),
    replayed,
  };
}

function entryOf(item: Json): TransactAnswer["get"][number]["entry"] {
  if (numberOf(item, "version") === 0) return undefined;
  const { value, ...info } = itemOf(item);
  if (value === undefined) throw new StateError("internal", "A transaction's read has no value.");
  return { ...info, value };
}
