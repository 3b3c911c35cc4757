import type { Entry, EntryInfo } from "../../store.ts";
import type { Answer } from "../answer.ts";
import { entryAnswer } from "../entry.ts";
import { StateError } from "../../errors.ts";
import type { Exchange } from "../exchange.ts";
import { keyOf } from "../path.ts";
import { flag, invalidParameter, moment, optional, queryParser } from "../query.ts";
import type { Route } from "../route.ts";
import { ENTRY_OR_RAW, TEXT } from "../schemas.ts";
import { parseHttpDate, parseRfc3339, toHttpDate } from "../times.ts";

/** `?raw`, on every read of one entry. */
export const RAW = optional(flag("Answer the bytes themselves, with the stored content type."));

const query = queryParser({
  raw: RAW,
  at: optional(moment("Answer the version that was the latest then.")),
});

export const get: Route = {
  method: "GET",
  path: "/{key}",
  operation: {
    id: "get",
    summary: "Read the latest version of a key",
    query,
    headers: ["If-None-Match", "Accept-Datetime"],
    answer: {
      description: "The value and its version; the bytes themselves with `raw`.",
      headers: ["ETag", "Last-Modified", "Memento-Datetime"],
      content: { "application/json": ENTRY_OR_RAW, "*/*": TEXT },
    },
    others: { 304: "The version named by If-None-Match is still the latest." },
    errors: ["key_not_found", "version_not_found", "version_trimmed"],
  },
  async handle(exchange) {
    const key = keyOf(exchange.url);
    const { raw = false, at } = query(exchange.url);
    const wanted = exchange.request.headers["accept-datetime"];
    if (at !== undefined || wanted !== undefined) {
      return handleAsOf(exchange, key, { raw, at: momentOf(at, wanted) });
    }
    const { state } = exchange.server;
    const isHead = exchange.isHead && !raw;
    const entry = await (isHead ? state.head(key) : state.get(key));
    if (entry === undefined) throw new StateError("key_not_found", "The key does not exist.");
    return entryAnswer(exchange, entry, { raw });
  },
};

/** Negotiation in time, as RFC 7089 has it for a resource that is its own TimeGate. */
async function handleAsOf(
  exchange: Exchange,
  key: string,
  { raw, at }: { readonly raw: boolean; readonly at: number },
): Promise<Answer> {
  const { state } = exchange.server;
  const entry: Entry | EntryInfo | undefined =
    exchange.isHead && !raw ? await state.head(key, { at }) : await state.get(key, { at });
  if (entry === undefined) {
    throw new StateError("version_not_found", "The key had no version at that time.");
  }
  const answer = await entryAnswer(exchange, entry, { raw });
  Object.assign(answer.headers, {
    "Memento-Datetime": toHttpDate(entry.createdAt),
    Vary: "Accept-Datetime",
  });
  return answer;
}

function momentOf(at: string | undefined, acceptDatetime: string | string[] | undefined): number {
  // The schema has checked that the parameter can be parsed.
  if (at !== undefined) return parseRfc3339(at) ?? 0;
  const time = parseHttpDate(String(acceptDatetime));
  if (time === undefined) {
    throw invalidParameter(
      "Accept-Datetime",
      '"Accept-Datetime" is a date such as Sat, 21 Nov 2026 10:00:00 GMT.',
    );
  }
  // The header has whole seconds: a version made within that second was there "then".
  return time + 999;
}
