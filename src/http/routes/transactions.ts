import * as v from "valibot";

import type { Conditions, TransactAnswer, TransactRequest } from "../../api.ts";
import { StateError } from "../../errors.ts";
import {
  AUTHOR_CHARS_MAX,
  CONTENT_TYPE_CHARS_MAX,
  MESSAGE_CHARS_MAX,
  TRANSACTION_ITEMS_MAX,
  TRANSACTION_VALUE_BYTES_MAX,
} from "../../limits.ts";
import { jsonTextAnswer, type Answer } from "../answer.ts";
import { readBody } from "../body.ts";
import { idempotencyKeyOf } from "../conditions.ts";
import { infoMembers } from "../entry.ts";
import { parseEtags, toEtag } from "../etag.ts";
import { queryParser } from "../query.ts";
import type { Route } from "../route.ts";
import { TRANSACTION_ANSWER } from "../schemas.ts";
import { isDeeperThan } from "../json-depth.ts";
import { toJsonSchema } from "../json-schema.ts";
import { toRfc3339 } from "../times.ts";

/** Base64 takes a third more, and JSON may escape every byte of a text. */
const BODY_BYTES_MAX = 2 * TRANSACTION_VALUE_BYTES_MAX;

function words(charsMax: number): v.GenericSchema<string> {
  return v.pipe(v.string(), v.maxLength(charsMax));
}

const condition = v.strictObject({
  key: v.string(),
  version: v.exactOptional(
    v.pipe(
      v.number(),
      v.safeInteger(),
      v.minValue(0),
      v.description("The latest version; 0: the key does not exist."),
    ),
  ),
  ifMatch: v.exactOptional(
    v.pipe(v.string(), v.description("ETags as the If-Match header has them.")),
  ),
  ifNoneMatch: v.exactOptional(
    v.pipe(v.string(), v.description("ETags as the If-None-Match header has them.")),
  ),
});

const write = v.strictObject({
  key: v.string(),
  value: v.string(),
  encoding: v.exactOptional(v.picklist(["utf-8", "base64"])),
  contentType: v.exactOptional(words(CONTENT_TYPE_CHARS_MAX)),
  author: v.exactOptional(words(AUTHOR_CHARS_MAX)),
  message: v.exactOptional(words(MESSAGE_CHARS_MAX)),
});

const body = v.strictObject({
  if: v.exactOptional(v.pipe(v.array(condition), v.maxLength(TRANSACTION_ITEMS_MAX))),
  put: v.exactOptional(v.pipe(v.array(write), v.maxLength(TRANSACTION_ITEMS_MAX))),
  delete: v.exactOptional(v.pipe(v.array(v.string()), v.maxLength(TRANSACTION_ITEMS_MAX))),
  get: v.exactOptional(v.pipe(v.array(v.string()), v.maxLength(TRANSACTION_ITEMS_MAX))),
});

type Body = v.InferOutput<typeof body>;

const query = queryParser({});

export const transactions: Route = {
  method: "POST",
  path: "/-/transactions",
  operation: {
    id: "transact",
    summary: "Change several keys together, or none",
    description:
      "All conditions must hold; then all puts and deletes happen at one instant. `get` reads keys " +
      "as they were just before.",
    query,
    headers: ["Idempotency-Key"],
    body: {
      description: "Conditions, writes and reads: up to 128 of each.",
      content: { "application/json": toJsonSchema(body) },
    },
    answer: {
      description: "The new versions, and what was read.",
      headers: ["Idempotency-Replayed"],
      content: { "application/json": TRANSACTION_ANSWER },
    },
    errors: [
      "invalid_body",
      "transaction_unsupported",
      "condition_failed",
      "value_too_large",
      "request_id_reused",
      "outcome_unknown",
    ],
  },
  async handle(exchange) {
    query(exchange.url);
    const bytes = await readBody(exchange, BODY_BYTES_MAX);
    const request = toRequest(parseBody(bytes));
    const idempotencyKey = idempotencyKeyOf(exchange);
    return toAnswer(
      await exchange.server.state.transact({
        ...request,
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      }),
    );
  },
};

/** Three would do. What is no deeper than this is parsed, for an error that says where the fault is. */
const DEPTH_MAX = 100;

function parseBody(bytes: Uint8Array): Body {
  if (isDeeperThan(bytes, DEPTH_MAX)) {
    throw invalidBody("The body is an object of lists of objects, and nothing deeper.", "");
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalidBody("The body is a JSON object in UTF-8.", "", cause);
  }
  const parsed = v.safeParse(body, json, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = v.getDotPath(issue) ?? "";
  throw invalidBody(`${path === "" ? "The body" : `"${path}"`}: ${issue.message}.`, path);
}

function invalidBody(message: string, parameter: string, cause?: unknown): StateError {
  return new StateError("invalid_body", `${message} Nothing was written.`, {
    cause,
    details: parameter === "" ? {} : { parameter },
  });
}

function toRequest(sent: Body): TransactRequest {
  return {
    ...sent,
    if: (sent.if ?? []).map(toCondition),
    put: (sent.put ?? []).map(({ value, encoding, ...rest }, index) => ({
      ...rest,
      value: encoding === "base64" ? fromBase64(value, `put.${index}.value`) : value,
    })),
  };
}

function toCondition(
  { key, version, ifMatch, ifNoneMatch }: v.InferOutput<typeof condition>,
  index: number,
): { readonly key: string } & Conditions {
  if (version === undefined && ifMatch === undefined && ifNoneMatch === undefined) {
    const path = `if.${index}`;
    throw invalidBody(`"${path}" has a version, ifMatch or ifNoneMatch.`, path);
  }
  return {
    key,
    ...(version === undefined ? {} : { cas: version }),
    ...(ifMatch === undefined
      ? {}
      : { ifMatch: parseEtags(`if.${index}.ifMatch`, ifMatch, { weak: false }) }),
    ...(ifNoneMatch === undefined
      ? {}
      : { ifNoneMatch: parseEtags(`if.${index}.ifNoneMatch`, ifNoneMatch, { weak: true }) }),
  };
}

/** `Buffer.from` skips what is no base64, which would store something else than was meant. */
function fromBase64(text: string, path: string): Uint8Array {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) {
    throw invalidBody(`"${path}" is base64 with padding.`, path);
  }
  return Buffer.from(text, "base64");
}

function toAnswer({ put, deleted, get, replayed }: TransactAnswer): Answer {
  const changed = JSON.stringify({
    put: put.map((written) => ({
      key: written.key,
      version: written.version,
      createdAt: toRfc3339(written.createdAt),
      digest: written.digest,
      etag: toEtag(written),
    })),
    deleted: deleted.map(({ key }) => key),
    deletedVersions: deleted.map(({ versions }) => versions),
  });
  const read = get.map(({ key, entry }) => {
    const members = entry === undefined ? '"version":0' : infoMembers(entry);
    return `{"key":${JSON.stringify(key)},${members}}`;
  });
  return jsonTextAnswer(
    `${changed.slice(0, -1)},"get":[${read.join(",")}]}`,
    replayed ? { "Idempotency-Replayed": "true" } : {},
  );
}
