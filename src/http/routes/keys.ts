import { PAGE_ITEMS_MAX } from "../../limits.ts";
import { jsonTextAnswer } from "../answer.ts";
import { infoMembers, member } from "../entry.ts";
import { nextLink } from "../link.ts";
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
import { KEYS } from "../schemas.ts";
import { parseRfc3339 } from "../times.ts";

const query = queryParser({
  prefix: optional(prefix("Only keys that begin with this.")),
  delimiter: optional(
    prefix("Folds the keys that hold it after the prefix into one item of `prefixes`, as S3 does."),
  ),
  after: optional(text(CURSOR_CHARS_MAX, "The `next` of the page before.")),
  limit: optional(integer(1, PAGE_ITEMS_MAX, "Keys and prefixes in one answer; 100 unless told.")),
  values: optional(flag("Add the values; a page then ends early, past 8 MiB of them.")),
  at: optional(moment("List the keys that exist now as they were at that time.")),
});

export const keys: Route = {
  method: "GET",
  path: "/-/keys",
  operation: {
    id: "keys",
    summary: "List keys in the order of their bytes",
    query,
    answer: {
      description: "A page of keys with their latest version.",
      headers: ["Link"],
      content: { "application/json": KEYS },
    },
  },
  async handle(exchange) {
    const { at, ...rest } = query(exchange.url);
    const found = await exchange.server.state.keys({
      ...rest,
      ...(at === undefined ? {} : { at: parseRfc3339(at) ?? 0 }),
    });
    const { prefixes, next } = found;
    const items = found.keys.map(
      (item) => `{"key":${JSON.stringify(item.key)},${infoMembers(item)}}`,
    );
    const others = `"prefixes":${JSON.stringify(prefixes)}${member("next", next)}`;
    return jsonTextAnswer(
      `{"keys":[${items.join(",")}],${others}}`,
      next === undefined ? {} : nextLink(exchange, "after", next),
    );
  },
};
