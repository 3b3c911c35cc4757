import { Calls } from "../calls.ts";
import { ERRORS, StateError } from "../errors.ts";
import { asUnknown, failureOfAnswer, failureOfFetch, type Failure } from "./failure.ts";

export interface TransportOptions {
  /** Where the server is, such as `http://127.0.0.1:5000`; a path before the routes is kept. */
  readonly url: string;
  /** Sent with every request, such as an `Authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Deadline of one call with its repetitions, in milliseconds; 30,000 unless told. */
  readonly timeoutMs?: number;
  /** How often one call may be sent, at most; 5 unless told. */
  readonly attempts?: number;
  /** The `fetch` to use, where it is not the global one. */
  readonly fetch?: typeof fetch;
}

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** After the base URL, without a slash in front. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
  /**
   * When it may be sent again after a failure: `always` where a repetition has no further effect, and
   * `unapplied` where that is only so if the server said that nothing was written.
   */
  readonly repeat: "always" | "unapplied";
}

/** An answer below 400, whole. */
export interface HttpReply {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const TIMEOUT_MS_DEFAULT = 30_000;
const ATTEMPTS_DEFAULT = 5;

/** Wait before the second attempt, in milliseconds; doubled for each further one, with jitter. */
const BACKOFF_MS = 100;
const BACKOFF_MS_MAX = 5_000;

/** Sends requests, repeats the ones that may be repeated, and turns failures into a StateError. */
export class Transport {
  readonly #base: string;
  readonly #options: TransportOptions;
  readonly #closing = new AbortController();
  readonly #calls = new Calls();

  constructor(options: TransportOptions) {
    const url = URL.parse(options.url);
    if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
      throw new StateError("invalid_parameter", "The server's address is an http or https URL.", {
        details: { parameter: "url" },
      });
    }
    this.#base = url.href.replace(/[?#].*$/, "").replace(/\/*$/, "/");
    this.#options = options;
  }

  /** Sends a request and reads its answer. Throws a {@link StateError} for every status from 400. */
  async send(request: HttpRequest): Promise<HttpReply> {
    checkHeaders({ ...this.#options.headers, ...request.headers });
    return this.#calls.run(() => this.#sendAndRepeat(request));
  }

  /**
   * Opens a stream: one attempt, without a deadline. The caller reads the body; `signal` and `close`
   * end it.
   */
  async open(
    request: Pick<HttpRequest, "path" | "headers">,
    signal: AbortSignal,
  ): Promise<Response> {
    checkHeaders({ ...this.#options.headers, ...request.headers });
    const both = AbortSignal.any([signal, this.#closing.signal]);
    const response = await this.#fetch({ ...request, method: "GET" }, both);
    if (response.status < 400) return response;
    throw failureOfAnswer(response, { body: await response.text(), isWrite: false }).error;
  }

  /** True once `close` was called. */
  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Waits for calls under way, and ends streams. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#calls.idle();
  }

  async #sendAndRepeat(request: HttpRequest): Promise<HttpReply> {
    if (this.isClosed) throw closedError();
    const { timeoutMs = TIMEOUT_MS_DEFAULT, attempts = ATTEMPTS_DEFAULT } = this.#options;
    const deadline = AbortSignal.timeout(timeoutMs);
    let mayBeApplied = false;
    for (let attempt = 1; ; attempt += 1) {
      const result = await this.#attempt(request, deadline);
      if ("bytes" in result) return result;
      const { error, isTransient } = result;
      mayBeApplied ||= error.applied === "unknown";
      const mayRepeat =
        isTransient &&
        attempt < attempts &&
        (request.repeat === "always" || error.applied === "no");
      if (!mayRepeat || !(await pause(waitMs(result, attempt), deadline))) {
        // A refusal tells of earlier attempts too, as their id would have been found. A server that can't
        // serve has not looked for it.
        const isRefusal = !isTransient && ERRORS[error.code].status < 500;
        throw mayBeApplied && !isRefusal ? asUnknown(result) : error;
      }
    }
  }

  async #attempt(request: HttpRequest, deadline: AbortSignal): Promise<HttpReply | Failure> {
    const isWrite = request.method !== "GET" && request.method !== "HEAD";
    try {
      const response = await this.#fetch(request, deadline);
      const { status, headers } = response;
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (status < 400) return { status, headers, bytes };
      return failureOfAnswer(response, { body: new TextDecoder().decode(bytes), isWrite });
    } catch (error) {
      return failureOfFetch(error, { isWrite, isTimeout: deadline.aborted });
    }
  }

  async #fetch(request: Omit<HttpRequest, "repeat">, signal: AbortSignal): Promise<Response> {
    const { method, path, headers, body } = request;
    const doFetch = this.#options.fetch ?? fetch;
    return doFetch(this.#base + path, {
      method,
      headers: { ...this.#options.headers, ...headers },
      redirect: "error",
      signal,
      ...(body === undefined ? {} : { body }),
    });
  }
}

/** Throws for what no header can hold: `fetch` would, in a way that looks like a lost connection. */
function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) continue;
    throw new StateError(
      "invalid_parameter",
      `"${name}" holds a character that no header can. Nothing was written.`,
      { details: { parameter: name } },
    );
  }
}

/** Grows with each attempt, at random between half and all of it, so that clients do not come at once. */
export function backoffMs(attempt: number): number {
  const full = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** (attempt - 1));
  const [random = 0] = crypto.getRandomValues(new Uint32Array(1));
  return full / 2 + (full / 2) * (random / 2 ** 32);
}

function waitMs({ retryAfterMs }: Failure, attempt: number): number {
  return Math.max(retryAfterMs ?? 0, backoffMs(attempt));
}

/** Waits; answers false where the signal came first. */
export async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve(!signal.aborted);
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

/** What every call answers after `close`. */
export function closedError(): StateError {
  return new StateError("store_unavailable", "The client is closed. Nothing was written.");
}
