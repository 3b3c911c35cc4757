import { optional, prefix, queryParser } from "../query.ts";
import type { Route } from "../route.ts";
import { EVENTS, VALUES } from "./watch.ts";

const query = queryParser({
  prefix: optional(prefix("Only keys that begin with this.")),
  values: VALUES,
});

export const watchPrefix: Route = {
  method: "GET",
  path: "/-/watch",
  operation: {
    id: "watchPrefix",
    summary: "Follow all keys of a prefix",
    query,
    headers: ["Last-Event-ID"],
    answer: EVENTS,
    errors: ["cursor_expired", "watch_unsupported"],
  },
  async handle(exchange) {
    const options = query(exchange.url);
    const lastEventId = exchange.header("last-event-id");
    return exchange.server.streams.serve(exchange, (signal) =>
      exchange.server.state.watchPrefix({
        prefix: "",
        signal,
        ...options,
        ...(lastEventId === undefined ? {} : { lastEventId }),
      }),
    );
  },
};
