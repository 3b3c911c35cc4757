import { StateError } from "../../errors.ts";
import { jsonAnswer } from "../answer.ts";
import type { Exchange } from "../exchange.ts";
import { flag, optional, queryParser } from "../query.ts";
import type { Route } from "../route.ts";
import { STATUS } from "../schemas.ts";

const query = queryParser({
  verbose: optional(flag("Add the store, what it promises, and the settings that decide it.")),
});

export const readyz: Route = {
  method: "GET",
  path: "/-/readyz",
  isAlwaysServed: true,
  operation: {
    id: "readyz",
    summary: "Whether requests can be served now",
    query,
    answer: { description: "They can.", content: { "application/json": STATUS } },
    errors: ["shutting_down", "store_unavailable"],
  },
  async handle(exchange) {
    const { server } = exchange;
    const { verbose = false } = query(exchange.url);
    const details = verbose ? describe(exchange) : {};
    if (server.isClosing) {
      throw new StateError("shutting_down", "The server is stopping.", { details });
    }
    const readiness = await server.ready();
    if (!readiness.ready) throw new StateError("store_unavailable", readiness.reason, { details });
    return jsonAnswer({ status: "ready", ...details }, { "Cache-Control": "no-store" });
  },
};

function describe({ server }: Exchange): Record<string, unknown> {
  const { store, load, streams, maxValueBytes, requireConditions } = server;
  return {
    ...(store === undefined ? {} : { store }),
    server: {
      maxValueBytes,
      requireConditions,
      inFlight: load.inFlight,
      heldBytes: load.heldBytes,
      watchers: streams.size,
    },
  };
}
