import { StateError } from "../../errors.ts";
import { methodNotAllowed } from "../allow.ts";
import { entryAnswer } from "../entry.ts";
import type { Exchange } from "../exchange.ts";
import { keyOf, parseVersion, secondSegment } from "../path.ts";
import { queryParser } from "../query.ts";
import type { Route } from "../route.ts";
import { ENTRY_OR_RAW, TEXT } from "../schemas.ts";
import { RAW } from "./get.ts";

const query = queryParser({ raw: RAW });

export const getVersion: Route = {
  method: "GET",
  path: "/{key}/{version}",
  operation: {
    id: "getVersion",
    summary: "Read one version of a key",
    query,
    headers: ["If-None-Match"],
    answer: {
      description: "The value and its version; the bytes themselves with `raw`.",
      headers: ["ETag", "Last-Modified"],
      content: { "application/json": ENTRY_OR_RAW, "*/*": TEXT },
    },
    others: { 304: "If-None-Match names this version." },
    errors: ["version_not_found", "version_trimmed"],
  },
  async handle(exchange) {
    const { state } = exchange.server;
    const key = keyOf(exchange.url);
    const version = parseVersion(secondSegment(exchange.url));
    if (key === "-" || version === undefined) throw notAVersion(exchange);
    const { raw = false } = query(exchange.url);
    const isHead = exchange.isHead && !raw;
    const entry = await (isHead ? state.head(key, { version }) : state.getVersion(key, version));
    if (entry === undefined) {
      throw new StateError("version_not_found", "The key does not exist, or has no such version.");
    }
    return entryAnswer(exchange, entry, { raw });
  },
};

/** The router sends every GET of two segments here that no other route of that method takes. */
function notAVersion(exchange: Exchange): StateError {
  const methods = exchange.server.methodsAt(exchange.url);
  if (methods === undefined) {
    return new StateError("route_not_found", "There is nothing at this path.");
  }
  if (!methods.includes("GET")) return methodNotAllowed(methods);
  return new StateError(
    "version_not_found",
    "A version is a positive integer without leading zeros.",
  );
}
