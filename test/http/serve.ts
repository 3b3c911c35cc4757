import { once } from "node:events";
import { connect, type Socket } from "node:net";

import { createServer, type HttpServer } from "../../src/http/server.ts";
import type { HttpOptions } from "../../src/http/options.ts";
import { open, type OpenOptions, type VersionedState } from "../../src/index.ts";

export interface Served {
  readonly state: VersionedState;
  readonly server: HttpServer;
  readonly port: number;
  /** Without a slash at its end. */
  readonly url: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A server over a memory store of its own: `await using served = await serve()`. Its port is free, and
 * may be another's once the server has stopped, unless one is given.
 */
export async function serve(
  options: HttpOptions = {},
  openOptions: OpenOptions = {},
  wantedPort = 0,
): Promise<Served> {
  const state = await open("memory:", openOptions);
  const server = await createServer(state, { store: state.store.info, ...options });
  const { port } = await server.listen({ port: wantedPort });
  return {
    state,
    server,
    port,
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose](): Promise<void> {
      await server.close(0);
      await state.close();
    },
  };
}

/** An answer as it came over a socket. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** For what never comes; a busy machine may well take seconds. */
const PATIENCE_MS = 60_000;

/** A client that sends what it likes. Its answers are told apart by their Content-Length. */
export class RawClient {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => {};

  /** `localAddress`: another one of the loopback network is another machine's to the server. */
  constructor(port: number, localAddress = "127.0.0.1") {
    this.socket = connect({ host: "127.0.0.1", port, localAddress });
    this.socket.on("data", (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** What has come and was not taken as an answer. */
  get received(): string {
    return this.#received.toString("latin1");
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The next answer, final or interim; undefined where the connection closed before one. */
  async answer(timeoutMs = PATIENCE_MS): Promise<RawAnswer | undefined> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const answer = this.#take();
      if (answer !== undefined || this.#ended) return answer;
      await this.#more(deadline);
    }
  }

  /** Everything that came, once the server has closed. */
  async closed(timeoutMs = PATIENCE_MS): Promise<string> {
    const deadline = performance.now() + timeoutMs;
    while (!this.#ended) await this.#more(deadline);
    return this.#received.toString("latin1");
  }

  destroy(): void {
    this.socket.destroy();
  }

  async #more(deadline: number): Promise<void> {
    const left = deadline - performance.now();
    if (left <= 0) throw new Error(`no more after: ${this.#received.toString("latin1")}`);
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, left);
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
  }

  #take(): RawAnswer | undefined {
    const end = this.#received.indexOf("\r\n\r\n");
    if (end === -1) return undefined;
    const [line = "", ...lines] = this.#received.toString("latin1", 0, end).split("\r\n");
    const headers = Object.fromEntries(
      lines.map((text) => {
        const colon = text.indexOf(":");
        return [text.slice(0, colon).toLowerCase(), text.slice(colon + 1).trim()];
      }),
    );
    const bodyEnd = end + 4 + Number(headers["content-length"] ?? 0);
    if (this.#received.length < bodyEnd) return undefined;
    const body = this.#received.toString("latin1", end + 4, bodyEnd);
    this.#received = this.#received.subarray(bodyEnd);
    return { status: Number(line.split(" ")[1]), headers, body };
  }
}

/** Sends bytes on a connection of their own, and answers what came until the server closed it. */
export async function exchangeRaw(port: number, bytes: string | Uint8Array): Promise<RawAnswer> {
  const client = new RawClient(port);
  await once(client.socket, "connect");
  client.send(bytes);
  try {
    const answer = await client.answer();
    if (answer === undefined) throw new Error("closed without an answer");
    return answer;
  } finally {
    client.destroy();
  }
}

/** The members that every problem document has. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly applied: string;
  readonly parameter?: string;
  readonly limit?: number;
  readonly current?: number;
  readonly currentEtag?: string;
}

/** Reads a problem document, and checks that it is one. */
export async function problemOf(response: Response): Promise<Problem> {
  const type = response.headers.get("content-type");
  const text = await response.text();
  if (type !== "application/problem+json") throw new Error(`no problem document: ${type} ${text}`);
  const problem = JSON.parse(text) as Problem;
  if (problem.status !== response.status) throw new Error(`status differs: ${text}`);
  return problem;
}
