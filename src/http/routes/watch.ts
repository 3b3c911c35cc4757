import { EVENT_STREAM_HEADERS } from "../event-streams.ts";
import { keyOf } from "../path.ts";
import { flag, integer, optional, queryParser } from "../query.ts";
import type { Operation, Route } from "../route.ts";
import { TEXT } from "../schemas.ts";

export const VALUES = optional(flag("Send the values too."));

const query = queryParser({
  after: optional(
    integer(
      0,
      Number.MAX_SAFE_INTEGER,
      "The last version that the caller has; 0 for the whole history. The latest unless told.",
    ),
  ),
  values: VALUES,
});

export const EVENTS: Operation["answer"] = {
  description: "Server-sent events: put, delete, caught-up, too-slow.",
  content: { [EVENT_STREAM_HEADERS["Content-Type"]]: TEXT },
};

export const watch: Route = {
  method: "GET",
  path: "/{key}/watch",
  operation: {
    id: "watch",
    summary: "Follow a key",
    query,
    headers: ["Last-Event-ID"],
    answer: EVENTS,
    errors: ["watch_unsupported"],
  },
  async handle(exchange) {
    const key = keyOf(exchange.url);
    const options = query(exchange.url);
    const lastEventId = exchange.header("last-event-id");
    return exchange.server.streams.serve(exchange, (signal) =>
      exchange.server.state.watch(key, {
        signal,
        ...options,
        ...(lastEventId === undefined ? {} : { lastEventId }),
      }),
    );
  },
};
