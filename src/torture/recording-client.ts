import { hrtime } from "node:process";

import type { EntryRef } from "../store.ts";
import type { Call, Seen } from "./record.ts";

/** Nanoseconds of the clock that all processes of one machine share. */
export function monotonicNs(): number {
  return Number(hrtime.bigint());
}

/** A value that carries an id which no other put of the run has, and padding. */
export function toValue(id: string, bytes: number): string {
  return `${id} ${"x".repeat(Math.max(0, bytes - id.length - 1))}`;
}

export function idOfValue(value: string): string {
  return value.slice(0, Math.max(0, value.indexOf(" ")));
}

interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Readonly<Record<string, unknown>>;
}

/** A call without effect, or one of which nobody knows; and what was answered instead. */
interface Failed {
  readonly outcome: "no" | "unknown";
  /**
   * The answer's code; `timeout` and `connection` where there was none, and `status-500` and the like
   * for an answer that is no problem document.
   */
  readonly failure: string;
}

export interface RecordingClientOptions {
  readonly name: string;
  /** The server to call next; asked anew for each call. */
  readonly baseUrl: () => string;
  readonly onCall: (call: Call) => void;
  /** No answer within this long counts as unknown, in milliseconds. */
  readonly timeoutMs: number;
}

/**
 * Calls a server over HTTP and records what it saw. It never tries again by itself: an outcome that it
 * does not know stays unknown, and the checker has to live with that.
 */
export class RecordingClient {
  readonly #options: RecordingClientOptions;

  constructor(options: RecordingClientOptions) {
    this.#options = options;
  }

  /** Puts a value with an id. `cas` makes it conditional; `requestId` safe to send again. */
  async put(
    key: string,
    id: string,
    options: { readonly cas?: number; readonly requestId?: string; readonly bytes?: number } = {},
  ): Promise<Call> {
    const { cas, requestId, bytes = 0 } = options;
    const start = monotonicNs();
    const answer = await this.#fetch(
      `/${encodeURIComponent(key)}${cas === undefined ? "" : `?cas=${cas}`}`,
      {
        method: "PUT",
        body: toValue(id, bytes),
        ...(requestId === undefined ? {} : { headers: { "Idempotency-Key": requestId } }),
      },
    );
    const common = { ...this.#times(key, start), op: "put", id, cas } as const;
    if ("failure" in answer) return this.#record({ ...common, ...answer });
    if (answer.status === 200) {
      const ref = parseEtag(answer.headers.get("etag"));
      if (ref === undefined) throw new Error(`a PUT answered no ETag: ${JSON.stringify(answer)}`);
      return this.#record({ ...common, outcome: "ok", ...ref });
    }
    if (answer.status === 412) {
      const current = parseEtag(answer.json["currentEtag"]);
      return this.#record({ ...common, outcome: "conflict", current });
    }
    return this.#record({ ...common, ...failureOf(answer) });
  }

  async get(key: string): Promise<Call> {
    return this.#read(key, undefined);
  }

  async getVersion(key: string, version: number): Promise<Call> {
    return this.#read(key, version);
  }

  async #read(key: string, version: number | undefined): Promise<Call> {
    const start = monotonicNs();
    const path = `/${encodeURIComponent(key)}${version === undefined ? "" : `/${version}`}`;
    const answer = await this.#fetch(path, {});
    const times = this.#times(key, start);
    const seen = "failure" in answer ? answer : seenIn(answer);
    if (seen !== undefined && "failure" in seen) {
      const op = version === undefined ? "get" : "get-version";
      return this.#record({ ...times, op, outcome: "no", failure: seen.failure });
    }
    if (version === undefined) return this.#record({ ...times, op: "get", outcome: "ok", seen });
    return this.#record({ ...times, op: "get-version", outcome: "ok", version, seen });
  }

  async delete(key: string): Promise<Call> {
    const start = monotonicNs();
    const answer = await this.#fetch(`/${encodeURIComponent(key)}`, { method: "DELETE" });
    const common = { ...this.#times(key, start), op: "delete" } as const;
    if ("failure" in answer) return this.#record({ ...common, ...answer });
    if (answer.status !== 200) return this.#record({ ...common, ...failureOf(answer) });
    return this.#record({ ...common, outcome: "ok", versions: Number(answer.json["versions"]) });
  }

  #times(key: string, start: number): Pick<Call, "client" | "key" | "start" | "end"> {
    return { client: this.#options.name, key, start, end: monotonicNs() };
  }

  #record(call: Call): Call {
    this.#options.onCall(call);
    return call;
  }

  async #fetch(path: string, init: RequestInit): Promise<Answered | Failed> {
    const { baseUrl, timeoutMs } = this.#options;
    try {
      const response = await fetch(baseUrl() + path, {
        ...init,
        signal: AbortSignal.timeout(timeoutMs),
      });
      const json = (await response.json()) as Record<string, unknown>;
      return { status: response.status, headers: response.headers, json };
    } catch (error) {
      const failure = (error as Error).name === "TimeoutError" ? "timeout" : "connection";
      return { outcome: wasNeverSent(error) ? "no" : "unknown", failure };
    }
  }
}

/** A connection that was refused carried nothing. */
function wasNeverSent(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED";
}

function failureOf({ status, json }: Answered): Failed {
  const { code, applied } = json;
  return {
    outcome: applied === "no" ? "no" : "unknown",
    failure: typeof code === "string" ? code : `status-${status}`,
  };
}

/** What a read saw, or how it failed. */
function seenIn(answer: Answered): Seen | Failed {
  const { status, headers, json } = answer;
  if (status === 404) return undefined;
  const ref = status === 200 ? parseEtag(headers.get("etag")) : undefined;
  if (ref === undefined) return failureOf(answer);
  return { ...ref, id: idOfValue(String(json["value"])) };
}

function parseEtag(etag: unknown): EntryRef | undefined {
  const match = /^"([\w-]+)\.(\d+)"$/.exec(String(etag));
  if (match === null) return undefined;
  return { incarnation: match[1] ?? "", version: Number(match[2]) };
}
