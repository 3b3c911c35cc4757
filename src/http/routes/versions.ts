import { StateError } from "../../errors.ts";
import { PAGE_ITEMS_MAX } from "../../limits.ts";
import { jsonTextAnswer } from "../answer.ts";
import { infoMembers, member } from "../entry.ts";
import { nextLink } from "../link.ts";
import { keyOf } from "../path.ts";
import { flag, integer, optional, queryParser } from "../query.ts";
import type { Route } from "../route.ts";
import { HISTORY } from "../schemas.ts";

const query = queryParser({
  limit: optional(integer(1, PAGE_ITEMS_MAX, "Versions in one answer; 100 unless told.")),
  before: optional(integer(1, Number.MAX_SAFE_INTEGER, "Only versions below this one.")),
  values: optional(flag("Add the values; a page then ends early, past 8 MiB of them.")),
});

export const versions: Route = {
  method: "GET",
  path: "/{key}/versions",
  operation: {
    id: "versions",
    summary: "List the history of a key, newest first",
    query,
    answer: {
      description: "A page of versions.",
      headers: ["Link"],
      content: { "application/json": HISTORY },
    },
    errors: ["key_not_found"],
  },
  async handle(exchange) {
    const key = keyOf(exchange.url);
    const found = await exchange.server.state.history(key, query(exchange.url));
    if (found === undefined) throw new StateError("key_not_found", "The key does not exist.");
    const { next } = found;
    const items = found.versions.map((item) => `{${infoMembers(item)}}`);
    return jsonTextAnswer(
      `{"key":${JSON.stringify(found.key)},"versions":[${items.join(",")}]${member("next", next)}}`,
      next === undefined ? {} : nextLink(exchange, "before", String(next)),
    );
  },
};
