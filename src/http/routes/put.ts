import type { PutOptions } from "../../api.ts";
import { AUTHOR_CHARS_MAX, MESSAGE_CHARS_MAX } from "../../limits.ts";
import { readBody, usefulContentType } from "../body.ts";
import { CAS, writeOptionsOf, type Mutable } from "../conditions.ts";
import { keyOf } from "../path.ts";
import { optional, queryParser, text } from "../query.ts";
import type { Route } from "../route.ts";
import { PUT_ANSWER, TEXT } from "../schemas.ts";
import { writtenAnswer } from "../written.ts";

const query = queryParser({
  cas: CAS,
  message: optional(text(MESSAGE_CHARS_MAX, "What this version is for.")),
  author: optional(text(AUTHOR_CHARS_MAX, "Who wrote it.")),
});

export const put: Route = {
  method: "PUT",
  path: "/{key}",
  operation: {
    id: "put",
    summary: "Add the next version of a key",
    description:
      "The body is stored as it is, whatever the Content-Type says. A Content-Type is stored with " +
      "it where it is of use.",
    query,
    headers: ["If-Match", "If-None-Match", "Idempotency-Key"],
    body: { description: "The value.", content: { "*/*": TEXT } },
    answer: {
      description: "The new version.",
      headers: ["ETag", "Location", "Idempotency-Replayed"],
      content: { "application/json": PUT_ANSWER },
    },
    errors: [
      "condition_failed",
      "value_too_large",
      "request_id_reused",
      "condition_required",
      "outcome_unknown",
    ],
  },
  async handle(exchange) {
    const { server } = exchange;
    const key = keyOf(exchange.url);
    const { cas, message, author } = query(exchange.url);
    const options: Mutable<PutOptions> = writeOptionsOf(exchange, cas);
    const contentType = usefulContentType(exchange.header("content-type"));
    if (contentType !== undefined) options.contentType = contentType;
    if (message !== undefined) options.message = message;
    if (author !== undefined) options.author = author;
    const value = await readBody(exchange, server.maxValueBytes);
    return writtenAnswer(exchange, await server.state.put(key, value, options));
  },
};
