/** An answer that is not the one the script expects. The message shows request, want and answer. */
export class CheckFailure extends Error {
  override readonly name = "CheckFailure";
}

/** No answer at all: the server is not there, or does not answer in time. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
}

export interface SessionOptions {
  /** Ends in a slash. */
  readonly base: URL;
  /** Begins every key of this run, and no other key of the server's. */
  readonly keyPrefix: string;
  /** Deadline of one request. */
  readonly timeoutMs: number;
  /** Ends the run early. */
  readonly signal: AbortSignal;
}

export interface Request {
  readonly method: "PUT" | "GET" | "DELETE";
  readonly path: string;
  readonly body?: string;
  /** Sent as it is; none where undefined. */
  readonly contentType?: string | undefined;
}

export interface Expect {
  readonly contentType?: string | undefined;
  /** The version that the PUT has to answer. */
  readonly version?: number;
}

/** What came back, with what had been sent. */
export interface Reply {
  readonly request: Request;
  /** The whole path, as a server behind another one's path has it. */
  readonly pathname: string;
  readonly status: number;
  readonly text: string;
}

/** Sends the script's requests, and remembers every key it touched so that none is left behind. */
export class Session {
  readonly #options: SessionOptions;
  readonly #keys = new Set<string>();
  /** Requests that change something, and have no answer yet. */
  readonly #changes = new Set<Promise<unknown>>();

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** A key that no one else has; `suffix` makes it an odd one. */
  newKey(suffix = ""): string {
    const key = `${this.#options.keyPrefix}${this.#keys.size}${suffix}`;
    this.#keys.add(key);
    return key;
  }

  /** Puts a value, expects 200 with a version, perhaps a certain one, and answers it. */
  async put(key: string, body: string, expect: Expect = {}): Promise<number> {
    const { contentType, version } = expect;
    const path = encodeURIComponent(key);
    const reply = await this.send({ method: "PUT", path, body, contentType });
    const came = reply.status === 200 ? member(reply, "version") : undefined;
    if (Number.isSafeInteger(came) && came === (version ?? came)) return Number(came);
    throw unexpected(reply, `status 200 and {"version": ${version ?? "a number"}, …}`);
  }

  /** Expects the latest, or one version, to hold this value and to have this number. */
  async expectValue(
    key: string,
    wanted: { readonly value: string; readonly version: number },
    which?: number,
  ): Promise<void> {
    const reply = await this.#get(key, which);
    const isRight =
      reply.status === 200 &&
      member(reply, "value") === wanted.value &&
      member(reply, "version") === wanted.version;
    if (!isRight) throw unexpected(reply, `status 200 and ${JSON.stringify(wanted)}`);
  }

  /** Expects that the key, or one version of it, does not exist. */
  async expectMissing(key: string, which?: number | string): Promise<void> {
    const reply = await this.#get(key, which);
    if (reply.status !== 404) throw unexpected(reply, "status 404");
  }

  async delete(key: string): Promise<void> {
    const reply = await this.send({ method: "DELETE", path: encodeURIComponent(key) });
    if (reply.status !== 200) throw unexpected(reply, "status 200");
  }

  async send(request: Request): Promise<Reply> {
    const { signal } = this.#options;
    signal.throwIfAborted();
    if (request.method === "GET") return this.#send(request, signal);
    // One that was given up may still take effect, and would then outlive the removal of its key.
    const change = this.#send(request, undefined);
    this.#changes.add(change);
    try {
      return await change;
    } finally {
      this.#changes.delete(change);
    }
  }

  /**
   * Deletes every key of this run, once the server has answered what it was sent. A server that is not
   * there any more keeps them.
   */
  async removeKeys(): Promise<void> {
    await Promise.allSettled(this.#changes);
    const remove = (key: string): Promise<unknown> =>
      this.#send({ method: "DELETE", path: encodeURIComponent(key) }, undefined);
    await Promise.allSettled([...this.#keys].map(remove));
  }

  async #get(key: string, which: number | string | undefined): Promise<Reply> {
    const path = encodeURIComponent(key) + (which === undefined ? "" : `/${which}`);
    return this.send({ method: "GET", path });
  }

  async #send(request: Request, signal: AbortSignal | undefined): Promise<Reply> {
    const { base, timeoutMs } = this.#options;
    const { method, path, body, contentType } = request;
    const deadline = AbortSignal.timeout(timeoutMs);
    // Bytes and not a string: fetch would add a content type of its own.
    const bytes = body === undefined ? undefined : new TextEncoder().encode(body);
    try {
      const response = await fetch(`${base.href}${path}`, {
        method,
        redirect: "manual",
        signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
        ...(bytes === undefined ? {} : { body: bytes }),
        ...(contentType === undefined ? {} : { headers: { "content-type": contentType } }),
      });
      const { pathname } = base;
      return {
        request,
        pathname: pathname + path,
        status: response.status,
        text: await response.text(),
      };
    } catch (error) {
      if (deadline.aborted) throw new Unreachable(`did not answer within ${timeoutMs} ms`);
      if (signal?.aborted === true) throw error;
      throw new Unreachable(`cannot be reached (${reasonOf(error)})`, { cause: error });
    }
  }
}

/** A failure that shows the request, what was wanted and what came instead. */
function unexpected(reply: Reply, wanted: string): CheckFailure {
  const { request, pathname, status, text } = reply;
  const { method, body, contentType } = request;
  const lines = [`sent:     ${method} ${pathname}`];
  if (contentType !== undefined) lines.push(`          Content-Type: ${contentType}`);
  if (body !== undefined) lines.push(`          body ${excerpt(JSON.stringify(body))}`);
  lines.push(`expected: ${wanted}`, `came:     status ${status} ${excerpt(text)}`.trimEnd());
  return new CheckFailure(lines.join("\n"));
}

function excerpt(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}… (${text.length} characters)` : text;
}

/** A member of an answer's JSON object; undefined where there is none, or no object. */
function member({ text }: Reply, name: string): unknown {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null) return undefined;
    return (parsed as Readonly<Record<string, unknown>>)[name];
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  return (cause as NodeJS.ErrnoException).code ?? cause.message;
}
