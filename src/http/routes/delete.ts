import { jsonAnswer } from "../answer.ts";
import { endOfBody } from "../body.ts";
import { CAS, conditionsOf } from "../conditions.ts";
import { keyOf } from "../path.ts";
import { queryParser } from "../query.ts";
import type { Route } from "../route.ts";
import { DELETE_ANSWER } from "../schemas.ts";

const query = queryParser({ cas: CAS });

export const deleteKey: Route = {
  method: "DELETE",
  path: "/{key}",
  operation: {
    id: "delete",
    summary: "Remove a key with all its versions",
    description: "Answers 200 whether or not the key existed. Its next PUT is version 1.",
    query,
    headers: ["If-Match", "If-None-Match"],
    answer: {
      description: "How many versions were removed.",
      content: { "application/json": DELETE_ANSWER },
    },
    errors: ["condition_failed", "outcome_unknown"],
  },
  async handle(exchange) {
    const key = keyOf(exchange.url);
    const { cas } = query(exchange.url);
    const conditions = conditionsOf(exchange, cas);
    await endOfBody(exchange);
    const { versions } = await exchange.server.state.delete(key, conditions);
    return jsonAnswer({ versions });
  },
};
