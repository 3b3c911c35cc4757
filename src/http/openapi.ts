import { readFile } from "node:fs/promises";

import { ERRORS, type ErrorCode } from "../errors.ts";
import { REQUEST_ID_CHARS_MAX } from "../limits.ts";
import { toJsonSchema } from "./json-schema.ts";
import type { QueryParser } from "./query.ts";
import type { JsonSchema, Operation, Route } from "./route.ts";
import { PROBLEM } from "./schemas.ts";

/** What any request may be answered. */
const COMMON_ERRORS: readonly ErrorCode[] = [
  "invalid_key",
  "invalid_parameter",
  "unknown_parameter",
  "invalid_request",
  "request_timeout",
  "uri_too_long",
  "headers_too_large",
  "internal",
  "overloaded",
  "shutting_down",
  "store_unavailable",
  "store_full",
  "store_read_only",
  "store_denied",
  "store_incompatible",
];

const STRING = { type: "string" } as const;

const ETAG_LIST = `^(\\*|((W/)?"[!-~]*"( *, *|$))*)$`;

/** Request headers that the routes name, and what they may hold. */
const REQUEST_HEADERS: Readonly<Record<string, JsonSchema>> = {
  "If-Match": {
    description: "Only if the latest version has one of these ETags; `*`: only if the key exists.",
    schema: { type: "string", pattern: ETAG_LIST },
  },
  "If-None-Match": {
    description:
      "Of a read: answer 304 if this is still the ETag. Of a write: only if the latest version has " +
      "none of these ETags; `*`: only if the key does not exist.",
    schema: { type: "string", pattern: ETAG_LIST },
  },
  "Idempotency-Key": {
    description:
      "An id of the caller's own. The same request under the same id within 24 hours answers the " +
      "first outcome and writes nothing.",
    schema: { type: "string", minLength: 1, maxLength: REQUEST_ID_CHARS_MAX },
  },
  "Accept-Datetime": {
    description: "Answer the version that was the latest then (RFC 7089).",
    schema: { type: "string", examples: ["Sat, 21 Nov 2026 10:00:00 GMT"] },
  },
  Accept: { description: "Which form of the answer is wanted.", schema: STRING },
  "Last-Event-ID": { description: "Resume after this event.", schema: STRING },
};

const ANSWER_HEADERS: Readonly<Record<string, string>> = {
  ETag: "Names the entry for ever; of use in `If-Match` and `If-None-Match`.",
  "Last-Modified": "When the version was made, in whole seconds.",
  "Memento-Datetime": "When the version was made, of a read as of a time.",
  Location: "Where the new version is.",
  "Idempotency-Replayed":
    "`true` where an earlier request with this Idempotency-Key had written it.",
  Link: 'The next page, as `rel="next"`.',
};

/** Makes the OpenAPI 3.1 document of some routes. */
export async function buildDocument(routes: readonly Route[]): Promise<JsonSchema> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const { method, path, operation } of routes) {
    if (operation === undefined) continue;
    const item = (paths[path] ??= withPathParameters(path));
    item[method.toLowerCase()] = describe(operation);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Versioned State Server",
      version: await packageVersion(),
      description: "Keeps every version of every key.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    paths,
    components: { schemas: { Problem: PROBLEM } },
  };
}

async function packageVersion(): Promise<string> {
  const url = new URL("../../package.json", import.meta.url);
  const { version } = JSON.parse(await readFile(url, "utf8")) as { readonly version: string };
  return version;
}

const PATH_PARAMETERS: Readonly<Record<string, JsonSchema>> = {
  key: {
    type: "string",
    minLength: 1,
    maxLength: 512,
    description: "1 to 512 bytes of UTF-8, percent-encoded; `/` travels as `%2F`.",
  },
  version: { type: "integer", minimum: 1 },
};

function withPathParameters(path: string): Record<string, unknown> {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? "");
  if (names.length === 0) return {};
  const parameters = names.map((name) => ({
    name,
    in: "path",
    required: true,
    schema: PATH_PARAMETERS[name] ?? STRING,
  }));
  return { parameters };
}

function describe(operation: Operation): JsonSchema {
  const { id, summary, description, query, headers = [], body } = operation;
  const parameters = [
    ...(query === undefined ? [] : queryParameters(query)),
    ...headers.map(header),
  ];
  return {
    operationId: id,
    summary,
    description,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { description: body.description, content: contentOf(body.content) } }),
    responses: responsesOf(operation),
  };
}

function queryParameters({ schema }: QueryParser<unknown>): readonly JsonSchema[] {
  return Object.entries(schema.entries).map(([name, entry]) => {
    const { description, ...rest } = toJsonSchema(entry);
    return {
      name,
      in: "query",
      required: entry.type !== "exact_optional",
      description,
      schema: rest,
    };
  });
}

function header(name: string): JsonSchema {
  return { name, in: "header", required: false, ...REQUEST_HEADERS[name] };
}

function contentOf(content: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return Object.fromEntries(Object.entries(content).map(([type, schema]) => [type, { schema }]));
}

function responsesOf({ answer, others = {}, errors = [] }: Operation): JsonSchema {
  const responses: Record<string, JsonSchema> = {
    200: {
      description: answer.description,
      ...(answer.headers === undefined
        ? {}
        : { headers: Object.fromEntries(answer.headers.map(answerHeader)) }),
      content: contentOf(answer.content),
    },
  };
  for (const [status, description] of Object.entries(others)) responses[status] = { description };
  const byStatus = Map.groupBy([...errors, ...COMMON_ERRORS], (code) => ERRORS[code].status);
  for (const [status, codes] of byStatus) {
    responses[status] = {
      description: [...new Set(codes)]
        .map((code) => `\`${code}\`: ${ERRORS[code].title}.`)
        .join(" "),
      content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
    };
  }
  return responses;
}

function answerHeader(name: string): readonly [string, JsonSchema] {
  return [name, { description: ANSWER_HEADERS[name], schema: STRING }];
}
