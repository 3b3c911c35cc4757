import { jsonAnswer } from "../answer.ts";
import { queryParser } from "../query.ts";
import type { Route } from "../route.ts";
import { STATUS } from "../schemas.ts";

const query = queryParser({});

export const livez: Route = {
  method: "GET",
  path: "/-/livez",
  isAlwaysServed: true,
  operation: {
    id: "livez",
    summary: "Whether the process answers at all",
    description: "Says nothing of the store, so that a back end that is away restarts no server.",
    query,
    answer: { description: "It does.", content: { "application/json": STATUS } },
  },
  async handle(exchange) {
    query(exchange.url);
    return jsonAnswer({ status: "live" }, { "Cache-Control": "no-store" });
  },
};
