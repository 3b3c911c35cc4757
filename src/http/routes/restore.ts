import type { Which } from "../../api.ts";
import { StateError } from "../../errors.ts";
import { AUTHOR_CHARS_MAX, MESSAGE_CHARS_MAX } from "../../limits.ts";
import { endOfBody } from "../body.ts";
import { CAS, writeOptionsOf } from "../conditions.ts";
import { keyOf } from "../path.ts";
import { integer, invalidParameter, moment, optional, queryParser, text } from "../query.ts";
import type { Route } from "../route.ts";
import { PUT_ANSWER } from "../schemas.ts";
import { parseRfc3339 } from "../times.ts";
import { writtenAnswer } from "../written.ts";

const query = queryParser({
  version: optional(integer(1, Number.MAX_SAFE_INTEGER, "The version to bring back.")),
  at: optional(moment("Bring back the version that was the latest then, instead.")),
  cas: CAS,
  message: optional(text(MESSAGE_CHARS_MAX, "Says what was restored, unless told.")),
  author: optional(text(AUTHOR_CHARS_MAX, "Who restored it.")),
});

export const restore: Route = {
  method: "POST",
  path: "/{key}/restore",
  operation: {
    id: "restore",
    summary: "Write an old version's value as a new version",
    description: "Takes `version` or `at`. Conditions work as they do on PUT.",
    query,
    headers: ["If-Match", "If-None-Match", "Idempotency-Key"],
    answer: {
      description: "The new version.",
      headers: ["ETag", "Location", "Idempotency-Replayed"],
      content: { "application/json": PUT_ANSWER },
    },
    errors: [
      "version_not_found",
      "version_trimmed",
      "condition_failed",
      "request_id_reused",
      "condition_required",
      "outcome_unknown",
    ],
  },
  async handle(exchange) {
    const key = keyOf(exchange.url);
    const { version, at, cas, ...about } = query(exchange.url);
    const from = toWhich(version, at);
    const options = writeOptionsOf(exchange, cas);
    await endOfBody(exchange);
    const written = await exchange.server.state.restore(key, { from, ...options, ...about });
    if (written === undefined) {
      throw new StateError("version_not_found", "The key does not exist, or has no such version.");
    }
    return writtenAnswer(exchange, written);
  },
};

function toWhich(version: number | undefined, at: string | undefined): Which {
  if (version !== undefined && at === undefined) return { version };
  if (version === undefined && at !== undefined) return { at: parseRfc3339(at) ?? 0 };
  throw invalidParameter("version", 'A restore takes "version" or "at", and not both.');
}
