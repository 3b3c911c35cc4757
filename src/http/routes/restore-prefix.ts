import { AUTHOR_CHARS_MAX, PAGE_ITEMS_MAX } from "../../limits.ts";
import { jsonAnswer } from "../answer.ts";
import { endOfBody } from "../body.ts";
import {
  CURSOR_CHARS_MAX,
  flag,
  integer,
  moment,
  optional,
  prefix,
  queryParser,
  text,
} from "../query.ts";
import type { Route } from "../route.ts";
import { RESTORE_PREFIX_ANSWER } from "../schemas.ts";
import { parseRfc3339 } from "../times.ts";

const query = queryParser({
  prefix: prefix("The keys to bring back; may be empty, for all."),
  at: moment("The time to bring them back to."),
  dryRun: optional(flag("Report what would be done, and do nothing.")),
  author: optional(text(AUTHOR_CHARS_MAX, "Who restores.")),
  after: optional(text(CURSOR_CHARS_MAX, "The `next` of the answer before.")),
  limit: optional(integer(1, PAGE_ITEMS_MAX, "Keys to look at in one call; 100 unless told.")),
});

export const restorePrefix: Route = {
  method: "POST",
  path: "/-/restore",
  operation: {
    id: "restorePrefix",
    summary: "Bring every key of a prefix back to a time",
    description:
      "Writes new versions and deletes where keys are not as they were then, a page of keys at a " +
      "time: go on with `after` while the answer has a `next`.",
    query,
    answer: {
      description: "What was done, or would be.",
      content: { "application/json": RESTORE_PREFIX_ANSWER },
    },
    errors: ["outcome_unknown"],
  },
  async handle(exchange) {
    const { at, ...rest } = query(exchange.url);
    await endOfBody(exchange);
    const found = await exchange.server.state.restorePrefix({
      ...rest,
      at: parseRfc3339(at) ?? 0,
    });
    return jsonAnswer({ dryRun: rest.dryRun ?? false, ...found });
  },
};
