import type { ErrorCode } from "../errors.ts";
import type { Answer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { QueryParser } from "./query.ts";

/** One row of the HTTP surface. A file in `routes/` holds one, with all that belongs to it. */
export interface Route {
  /** GET serves HEAD too. */
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** As OpenAPI writes it: `/{key}/{version}`. */
  readonly path: string;
  /** Undefined where the route is left out of the OpenAPI document, as pages for people are. */
  readonly operation?: Operation;
  /** Served however busy the server is, so that it can be looked at, and takes no room from others. */
  readonly isAlwaysServed?: boolean;
  /**
   * Answers, and fails only by its promise; undefined where the response has been written already, as
   * of an event stream.
   */
  readonly handle: (exchange: Exchange) => Promise<Answer | undefined>;
}

/** What OpenAPI says of a route. Its query comes from the schema that checks it. */
export interface Operation {
  readonly id: string;
  readonly summary: string;
  readonly description?: string;
  readonly query?: QueryParser<unknown>;
  /** Request headers that matter here, by the names of `HEADERS` in `openapi.ts`. */
  readonly headers?: readonly string[];
  readonly body?: Body;
  readonly answer: OperationAnswer;
  /** Further answers that are no errors, such as 304. */
  readonly others?: Readonly<Record<number, string>>;
  /** Errors of its own, beside those that any request may get. */
  readonly errors?: readonly ErrorCode[];
}

export interface Body {
  readonly description: string;
  /** Media type → JSON Schema. */
  readonly content: Readonly<Record<string, JsonSchema>>;
}

export interface OperationAnswer {
  readonly description: string;
  readonly headers?: readonly string[];
  readonly content: Readonly<Record<string, JsonSchema>>;
}

export type JsonSchema = Readonly<Record<string, unknown>>;
