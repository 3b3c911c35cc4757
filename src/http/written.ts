import type { PutAnswer } from "../api.ts";
import { JSON_TYPE, type Answer } from "./answer.ts";
import { toEtag } from "./etag.ts";
import type { Exchange } from "./exchange.ts";
import { keySegment } from "./path.ts";
import { toRfc3339 } from "./times.ts";

/** Answers a PUT or a restore with the version that was written. */
export function writtenAnswer(exchange: Exchange, written: PutAnswer): Answer {
  const { key, version, createdAt, digest, replayed } = written;
  const headers: Record<string, string> = {
    "Content-Type": JSON_TYPE,
    ETag: toEtag(written),
    Location: `/${keySegment(exchange.url)}/${version}`,
  };
  if (replayed) headers["Idempotency-Replayed"] = "true";
  const body =
    `{"key":${JSON.stringify(key)},"version":${version},` +
    `"createdAt":"${toRfc3339(createdAt)}","digest":"${digest}"}`;
  return { status: 200, headers, body };
}
