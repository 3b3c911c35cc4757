import assert from "node:assert/strict";
import { Agent, request, type IncomingHttpHeaders } from "node:http";
import { unique } from "./build.ts";
import { ERRORS, type ErrorCode } from "../errors.ts";

export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface HttpCall {
  readonly method?: string;
  /** After the server's URL, exactly as it goes over the wire: nothing is encoded or cleaned up. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Speaks to one server with requests that `fetch` would tidy up or refuse. */
export class HttpContext {
  readonly #base: URL;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });

  constructor(url: string) {
    this.#base = new URL(url);
  }

  /** A key that no other case uses, of characters that need no encoding. */
  key(): string {
    return `http-${unique()}`;
  }

  close(): void {
    this.#agent.destroy();
  }

  send(call: HttpCall): Promise<HttpReply> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpReply>();
    const outgoing = request(
      {
        host: this.#base.hostname.replace(/^\[(.*)\]$/, "$1"),
        port: this.#base.port,
        agent: this.#agent,
        method: call.method ?? "GET",
        path: call.path,
        headers: { ...lengthOf(call), ...call.headers },
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("error", reject);
        incoming.on("end", () => {
          const { statusCode: status = 0, headers } = incoming;
          resolve({ status, headers, body: Buffer.concat(chunks) });
        });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(call.body);
    return promise;
  }

  /** Puts a value, and answers the new version. */
  async put(
    key: string,
    body: string | Uint8Array,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly version: number; readonly etag: string }> {
    const reply = await this.send({ method: "PUT", path: `/${key}`, headers, body });
    assert.equal(reply.status, 200, `PUT /${key}: ${reply.body.toString()}`);
    const { version } = jsonOf(reply);
    assert.ok(typeof version === "number");
    return { version, etag: reply.headers.etag ?? "" };
  }

  /** What `GET` answers as JSON; fails where it is not a 200. */
  async json(path: string): Promise<Readonly<Record<string, unknown>>> {
    const reply = await this.send({ path });
    assert.equal(reply.status, 200, `GET ${path}: ${reply.body.toString()}`);
    return jsonOf(reply);
  }

  async remove(key: string): Promise<number> {
    const reply = await this.send({ method: "DELETE", path: `/${key}` });
    assert.equal(reply.status, 200, `DELETE /${key}: ${reply.body.toString()}`);
    return Number(jsonOf(reply)["versions"]);
  }
}

/** Node frames the body of a DELETE only where it is told its length. */
function lengthOf({ body, headers }: HttpCall): Record<string, string> {
  if (body === undefined || headers?.["Transfer-Encoding"] !== undefined) return {};
  return { "Content-Length": String(Buffer.byteLength(body)) };
}

export function jsonOf(reply: HttpReply): Readonly<Record<string, unknown>> {
  const parsed: unknown = JSON.parse(reply.body.toString());
  assert.ok(typeof parsed === "object" && parsed !== null, "the body is a JSON object");
  return { ...parsed };
}

/** Asserts that a reply is a problem document with this code, and answers its members. */
export function problemOf(
  reply: HttpReply,
  code: ErrorCode,
  what = "",
): Readonly<Record<string, unknown>> {
  const { status } = ERRORS[code];
  assert.equal(reply.status, status, `${what}: ${reply.body.toString()}`);
  assert.match(reply.headers["content-type"] ?? "", /^application\/problem\+json\b/, what);
  const problem = jsonOf(reply);
  assert.equal(problem["code"], code, what);
  assert.equal(problem["status"], status, what);
  assert.equal(problem["applied"], "no", what);
  for (const member of ["type", "title", "detail"]) {
    assert.equal(typeof problem[member], "string", `${what}: ${member}`);
  }
  assert.doesNotMatch(reply.body.toString(), /\bat .*\.[jt]s:\d+/, `${what}: no stack`);
  return problem;
}
