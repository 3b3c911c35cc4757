import type { IncomingMessage, ServerResponse } from "node:http";

import type { BodyPace } from "./body-pace.ts";

/** What is sent of an answer, whole or in pieces. */
export type AnswerBody = string | Uint8Array | readonly Uint8Array[];

/** What a route answers: plain data, so that a route can be tested without a socket. */
export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | number>;
  /** Empty for none. Of a HEAD, it is left out when sent. */
  readonly body: AnswerBody;
}

export function bytesOf(body: AnswerBody): number {
  if (typeof body === "string") return Buffer.byteLength(body);
  if (body instanceof Uint8Array) return body.byteLength;
  return body.reduce((sum, piece) => sum + piece.byteLength, 0);
}

export const JSON_TYPE = "application/json";

/** A 200 with a JSON body. */
export function jsonAnswer(value: unknown, headers: Record<string, string> = {}): Answer {
  return jsonTextAnswer(JSON.stringify(value), headers);
}

/** The same, of what is JSON already. */
export function jsonTextAnswer(body: string, headers: Record<string, string> = {}): Answer {
  return {
    status: 200,
    headers: { "Content-Type": JSON_TYPE, "Cache-Control": "no-cache", ...headers },
    body,
  };
}

/** Up to this length, an answer fits the buffers that the system has for a connection. */
export const SHORT_ANSWER_MAX = 16 * 1024;

/** Unread bodies up to this size are read to their end, so that the connection lives on. */
const UNREAD_BYTES_MAX = 64 * 1024;

export interface SendOptions {
  /** The connection ends after this answer. */
  readonly isLast: boolean;
  readonly lingerMs: number;
  readonly unwantedPace: BodyPace;
}

export function send(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  options: SendOptions,
): void {
  if (response.destroyed || response.headersSent) return;
  const { status, headers, body } = answer;
  const length = bytesOf(body);
  // A HEAD that did not read the value knows its length better, or not at all.
  if (length > 0 || (request.method !== "HEAD" && status !== 304)) {
    headers["Content-Length"] = length;
  }
  const lingers = !request.complete && hasLongRest(request);
  if (options.isLast || lingers) headers["Connection"] = "close";
  response.writeHead(status, headers);
  const isWhole = typeof body === "string" || body instanceof Uint8Array;
  if (!lingers && isWhole && length <= SHORT_ANSWER_MAX) {
    response.end(body);
    return;
  }
  // In one write with text, as the headers are, bytes would be copied.
  if (typeof body !== "string") response.flushHeaders();
  // Corked, all pieces go in one system call.
  response.cork();
  let isSent = true;
  for (const piece of isWhole ? [body] : body) isSent = response.write(piece);
  response.uncork();
  if (lingers) endAfterBody(request, response, options);
  else if (isSent) response.end();
  // Once it was ended, `node:http` takes the connection for idle, and a stop would cut the answer off.
  else response.once("drain", () => response.end());
}

/** Whether more of the body is to come than is worth reading for the sake of the connection. */
function hasLongRest({ headers }: IncomingMessage): boolean {
  // A client that waits for "100 Continue" may send its body or not: only the end is unambiguous.
  if (headers.expect !== undefined || headers["transfer-encoding"] !== undefined) return true;
  return Number(headers["content-length"] ?? 0) > UNREAD_BYTES_MAX;
}

/**
 * Closes when the client has sent its body or had time to notice the answer. Closing at once, with
 * bytes unread, would reset the connection, and clients that send first and read later would lose it.
 */
function endAfterBody(
  request: IncomingMessage,
  response: ServerResponse,
  { lingerMs, unwantedPace }: SendOptions,
): void {
  const timer = setTimeout(end, lingerMs);
  function end(): void {
    clearTimeout(timer);
    response.end();
  }
  request.once("end", end);
  request.once("close", end);
  request.on("data", () => unwantedPace.pause(request));
  request.resume();
}
