import type { Answer } from "../answer.ts";
import { buildDocument } from "../openapi.ts";
import { queryParser } from "../query.ts";
import type { Route } from "../route.ts";

const query = queryParser({});

/** The document of the other routes; made when it is first asked for. */
export function openapi(routes: readonly Route[]): Route {
  let body: Promise<string> | undefined;
  return {
    method: "GET",
    path: "/-/openapi.json",
    operation: {
      id: "openapi",
      summary: "This document",
      query,
      answer: {
        description: "An OpenAPI 3.1 document.",
        content: { "application/json": { type: "object" } },
      },
    },
    async handle(exchange): Promise<Answer> {
      query(exchange.url);
      body ??= buildDocument(routes).then((document) => JSON.stringify(document));
      const headers = { "Content-Type": "application/json", "Cache-Control": "no-cache" };
      return { status: 200, headers, body: await body };
    },
  };
}
