import type { Registry } from "prom-client";

import type { StoreInfo } from "../store.ts";
import type { Clock } from "../telemetry/clock.ts";
import type { Log } from "../telemetry/log.ts";

/** What a server is made with, beside the state it serves. All of it may be left out. */
export interface HttpOptions {
  readonly clock?: Clock;
  readonly log?: Log;
  /** Largest value of a PUT, in bytes; the state should have the same bound. */
  readonly maxValueBytes?: number;
  /** Log one line per request. */
  readonly logRequests?: boolean;
  /** Answer 428 to a PUT or restore that carries no condition. */
  readonly requireConditions?: boolean;
  /** What `/-/readyz?verbose` says of the store. */
  readonly store?: StoreInfo;
  /** Asked by `/-/readyz`. A server without it is ready while it listens. */
  readonly ready?: () => Promise<Readiness>;
  /** Makes what the server adds its metrics to when `/-/metrics` is first asked for. */
  readonly registry?: () => Promise<Registry>;
  readonly limits?: Partial<HttpLimits>;
}

/** Whether requests can be served now. `reason` is a sentence for operators, without addresses. */
export type Readiness =
  | { readonly ready: true }
  | { readonly ready: false; readonly reason: string };

/** What hostile or unlucky clients may take of a server. */
export interface HttpLimits {
  /** Request line and headers together, in bytes. */
  readonly headerBytesMax: number;
  /** From a connection's first byte of a request to the end of its headers. */
  readonly headersTimeoutMs: number;
  /** From the first byte of a request to the end of its body. */
  readonly requestTimeoutMs: number;
  /** How often connections are checked against the two above. */
  readonly connectionsCheckMs: number;
  /** How long a connection may wait for its next request; longer than load balancers keep theirs. */
  readonly keepAliveTimeoutMs: number;
  /** How long a connection may move no byte while an answer is being sent. */
  readonly stallTimeoutMs: number;
  /** Open connections; further ones are closed at once. */
  readonly connectionsMax: number;
  /** Requests under way; further ones are answered 503 before their body is read. */
  readonly inFlightMax: number;
  /** Requests that a connection may send ahead of its answers; it is cut at one more. */
  readonly pipelinedMax: number;
  /** Bytes of bodies, and of long answers, held for requests under way. */
  readonly heldBytesMax: number;
  /** Open watches; further ones are answered 503. */
  readonly watchersMax: number;
  /** How often an idle watch gets a comment, and how often slow ones are looked at. */
  readonly heartbeatMs: number;
  /** How long a connection is read on after an answer that came before the end of its body. */
  readonly lingerMs: number;
}

export const HTTP_LIMITS_DEFAULT: HttpLimits = {
  headerBytesMax: 16 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  connectionsCheckMs: 2_000,
  keepAliveTimeoutMs: 65_000,
  stallTimeoutMs: 60_000,
  connectionsMax: 20_000,
  inFlightMax: 10_000,
  pipelinedMax: 16,
  heldBytesMax: 256 * 1024 * 1024,
  watchersMax: 10_000,
  heartbeatMs: 15_000,
  lingerMs: 2_000,
};
