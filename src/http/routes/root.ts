import { pickType } from "../accept.ts";
import { jsonAnswer } from "../answer.ts";
import { queryParser } from "../query.ts";
import type { Route } from "../route.ts";

const query = queryParser({});

const LINKS = {
  ui: "/-/ui/",
  docs: "/-/docs",
  openapi: "/-/openapi.json",
  keys: "/-/keys",
  ready: "/-/readyz?verbose",
  metrics: "/-/metrics",
} as const;

export const root: Route = {
  method: "GET",
  path: "/",
  operation: {
    id: "root",
    summary: "Where everything is",
    description: "Sends a browser to the web UI, and answers anyone else with links.",
    query,
    headers: ["Accept"],
    answer: { description: "Links.", content: { "application/json": { type: "object" } } },
    others: { 302: "To the web UI, for a browser." },
  },
  async handle(exchange) {
    query(exchange.url);
    const isBrowser =
      pickType(exchange.header("accept"), ["application/json", "text/html"]) === "text/html";
    return isBrowser
      ? { status: 302, headers: { Location: LINKS.ui, Vary: "Accept" }, body: "" }
      : jsonAnswer({ name: "Versioned State Server", links: LINKS }, { Vary: "Accept" });
  },
};
