import { Agent, request as httpRequest } from "node:http";

/** A request as it goes over the wire. */
export interface WireRequest {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  readonly path: string;
  /** Empty where there is none. */
  readonly body: string;
  readonly contentType: string | undefined;
}

export interface WireAnswer {
  readonly status: number;
  /** Names and values by turns, as they were received. */
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export function get(path: string): WireRequest {
  return { method: "GET", path, body: "", contentType: undefined };
}

export function put(path: string, body: string): WireRequest {
  return { method: "PUT", path, body, contentType: undefined };
}

export function post(path: string, body: unknown): WireRequest {
  return { method: "POST", path, body: JSON.stringify(body), contentType: "application/json" };
}

/** The bytes that wrk sends for a request. */
export function toBytes(request: WireRequest, port: number): Buffer {
  const head = [`${request.method} ${request.path} HTTP/1.1`, `Host: 127.0.0.1:${port}`];
  if (request.contentType !== undefined) head.push(`Content-Type: ${request.contentType}`);
  const body = Buffer.from(request.body);
  if (request.method !== "GET") head.push(`Content-Length: ${body.length}`);
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), body]);
}

/** Sends single requests to one port, over connections that it keeps: prepares data and checks answers. */
export class WireClient {
  readonly port: number;
  readonly #agent: Agent;

  constructor(port: number, connections: number) {
    this.port = port;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  async send(request: WireRequest): Promise<WireAnswer> {
    const { method, path, body, contentType } = request;
    const headers: Record<string, string | number> = {};
    if (contentType !== undefined) headers["Content-Type"] = contentType;
    if (method !== "GET") headers["Content-Length"] = Buffer.byteLength(body);
    const { promise, resolve, reject } = Promise.withResolvers<WireAnswer>();
    const options = { host: "127.0.0.1", port: this.port, agent: this.#agent, timeout: 30_000 };
    const sent = httpRequest({ ...options, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        const { statusCode = 0, rawHeaders } = response;
        resolve({ status: statusCode, rawHeaders, body: text });
      });
    });
    sent.on("error", reject);
    sent.on("timeout", () => sent.destroy(new Error(`no answer to ${method} ${path} in 30 s`)));
    sent.end(body);
    return promise;
  }

  /** Sends one and fails unless it is answered with a 2xx. */
  async sendOk(request: WireRequest): Promise<WireAnswer> {
    const answer = await this.send(request);
    if (answer.status < 200 || answer.status > 299) {
      const what = `${request.method} ${request.path}`;
      throw new Error(`${what} was answered ${answer.status}: ${answer.body.slice(0, 300)}`);
    }
    return answer;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Runs `task` for 0 … count-1, `parallel` at a time. */
export async function forEachParallel(
  count: number,
  parallel: number,
  task: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) {
      const index = next;
      next += 1;
      await task(index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, count) }, work));
}
