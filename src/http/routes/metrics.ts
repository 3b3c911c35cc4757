import { queryParser } from "../query.ts";
import type { Route } from "../route.ts";
import { TEXT } from "../schemas.ts";

const query = queryParser({});

export const metrics: Route = {
  method: "GET",
  path: "/-/metrics",
  isAlwaysServed: true,
  operation: {
    id: "metrics",
    summary: "Figures in the text form of Prometheus",
    query,
    answer: { description: "All metrics.", content: { "text/plain": TEXT } },
  },
  async handle(exchange) {
    query(exchange.url);
    const { contentType, text } = await exchange.server.metrics();
    return {
      status: 200,
      headers: { "Content-Type": contentType, "Cache-Control": "no-store" },
      body: text,
    };
  },
};
