import type { Exchange } from "./exchange.ts";
import { pathOf } from "./path.ts";

/** The `Link` header of a page that has a next one: the same request with another cursor. */
export function nextLink(
  exchange: Exchange,
  parameter: string,
  cursor: string,
): Record<string, string> {
  const path = pathOf(exchange.url);
  const start = exchange.url.indexOf("?");
  const query = new URLSearchParams(start === -1 ? "" : exchange.url.slice(start + 1));
  query.set(parameter, cursor);
  return { Link: `<${path}?${query.toString()}>; rel="next"` };
}
