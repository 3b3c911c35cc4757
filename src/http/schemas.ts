import type { JsonSchema } from "./route.ts";

/** The shapes of answers, for the OpenAPI document; the tests hold real answers against them. */

const TIME = { type: "string", format: "date-time" } as const;
const VERSION = { type: "integer", minimum: 1 } as const;
const DIGEST = {
  type: "string",
  pattern: "^[0-9a-f]{64}$",
  description: "SHA-256 of the value.",
} as const;
const ETAG = { type: "string", description: "Names this entry for ever; of use in `If-Match`." };
const ENCODING = { const: "base64", description: "Where the value is not UTF-8." } as const;
const CURSOR = { type: "string", description: "While there is more: where to go on." } as const;

function object(
  properties: Readonly<Record<string, JsonSchema>>,
  required: readonly string[] = Object.keys(properties),
): JsonSchema {
  return { type: "object", properties, required };
}

const VALUE = { value: { type: "string" }, encoding: ENCODING } as const;

const INFO = {
  version: VERSION,
  size: { type: "integer", minimum: 0 },
  contentType: { type: "string" },
  createdAt: TIME,
  digest: DIGEST,
  etag: ETAG,
  author: { type: "string" },
  message: { type: "string" },
} as const;
const INFO_REQUIRED = ["version", "size", "createdAt", "digest", "etag"] as const;

const ENTRY = object({ ...VALUE, version: VERSION }, ["value", "version"]);

/** With `raw`, the stored bytes come under their own type, which may be JSON's too. */
export const ENTRY_OR_RAW: JsonSchema = {
  anyOf: [ENTRY, { description: "With `raw`: the value itself." }],
};

export const PUT_ANSWER = object({
  key: { type: "string" },
  version: VERSION,
  createdAt: TIME,
  digest: {
    type: "string",
    pattern: "^([0-9a-f]{64})?$",
    description: "SHA-256 of the value; empty of a repeated restore whose version is gone.",
  },
});

export const DELETE_ANSWER = object({ versions: { type: "integer", minimum: 0 } });

export const HISTORY = object(
  {
    key: { type: "string" },
    versions: { type: "array", items: object({ ...INFO, ...VALUE }, INFO_REQUIRED) },
    next: { ...VERSION, description: "While there is more: the `before` of the next page." },
  },
  ["key", "versions"],
);

export const KEYS = object(
  {
    keys: {
      type: "array",
      items: object({ key: { type: "string" }, ...INFO, ...VALUE }, ["key", ...INFO_REQUIRED]),
    },
    prefixes: { type: "array", items: { type: "string" } },
    next: CURSOR,
  },
  ["keys", "prefixes"],
);

export const DIFF = object({
  key: { type: "string" },
  kind: { enum: ["text", "json-patch", "binary"] },
  from: object(INFO, INFO_REQUIRED),
  to: object(INFO, INFO_REQUIRED),
  diff: { type: "string", description: "Empty where the kind is binary." },
});

export const JSON_PATCH: JsonSchema = { type: "array", items: { type: "object" } };

export const TRANSACTION_ANSWER = object({
  put: {
    type: "array",
    items: object({
      key: { type: "string" },
      version: VERSION,
      createdAt: TIME,
      digest: DIGEST,
      etag: ETAG,
    }),
  },
  deleted: { type: "array", items: { type: "string" } },
  deletedVersions: {
    type: "array",
    items: { type: "integer", minimum: 0 },
    description: "How many versions went with each of `deleted`.",
  },
  get: {
    type: "array",
    items: object(
      { key: { type: "string" }, ...VALUE, ...INFO, version: { type: "integer", minimum: 0 } },
      ["key", "version"],
    ),
  },
});

export const RESTORE_PREFIX_ANSWER = object(
  {
    dryRun: { type: "boolean" },
    restored: {
      type: "array",
      items: object(
        {
          key: { type: "string" },
          action: { enum: ["put", "delete"] },
          from: VERSION,
          version: VERSION,
        },
        ["key", "action"],
      ),
    },
    unchanged: { type: "integer", minimum: 0 },
    conflicts: { type: "array", items: { type: "string" } },
    trimmed: { type: "array", items: { type: "string" } },
    next: CURSOR,
  },
  ["dryRun", "restored", "unchanged", "conflicts", "trimmed"],
);

export const PROBLEM = object(
  {
    type: { type: "string", format: "uri-reference" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    code: { type: "string", description: "Stable; docs/errors.md explains each." },
    applied: { enum: ["no", "unknown"], description: "Whether a write may have happened." },
    parameter: { type: "string", description: "The parameter that was refused." },
    limit: { type: "integer", description: "The bound that was passed." },
    current: { type: "integer", description: "The latest version; 0 where there is no key." },
    currentEtag: { type: "string" },
  },
  ["type", "title", "status", "detail", "code", "applied"],
);

export const STATUS: JsonSchema = object({ status: { type: "string" } });

export const TEXT: JsonSchema = { type: "string" };
