import { STATUS_CODES, type ServerResponse } from "node:http";
import type { Socket } from "node:net";

import { StateError } from "../errors.ts";
import type { LoopTime } from "./loop-time.ts";
import { problemAnswer } from "./problem.ts";

/** What the parser or a timer of `node:http` reports of a connection. */
export interface ClientError extends Error {
  readonly code?: string;
  /** The bytes in which the parser failed. */
  readonly rawPacket?: unknown;
}

/**
 * Answers what never became a request, with a problem document, and closes. Where a request of the
 * same connection is being answered, only its own end may follow: a second answer now would be taken
 * for the first one's. A thousand connections may have to be told at once that their time is up: they
 * share the turns of the event loop with requests.
 */
export function answerClientError(error: ClientError, socket: Socket, loopTime: LoopTime): void {
  if (!loopTime.isOver) return answer(error, socket);
  // What still comes would be reported as a further error.
  socket.pause();
  loopTime.putOff(socket, () => answer(error, socket));
}

function answer(error: ClientError, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  // `node:http` keeps the response under way here, and has no public name for it.
  const { _httpMessage: current } = socket as Socket & {
    readonly _httpMessage?: ServerResponse | null;
  };
  if (current !== undefined && current !== null && current.req.complete) {
    current.once("finish", () => socket.destroySoon());
    return;
  }
  if (current?.headersSent === true) {
    socket.destroy();
    return;
  }
  socket.end(problemMessage(toStateError(error)), () => socket.destroySoon());
}

function toStateError({ code, rawPacket }: ClientError): StateError {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return isWithinRequestLine(rawPacket)
        ? new StateError("uri_too_long", "The request line may hold at most 16 KiB.")
        : new StateError("headers_too_large", "Request line and headers may hold at most 16 KiB.");
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new StateError(
        "request_timeout",
        "The request did not arrive whole in time. Nothing was written.",
      );
    case "HPE_INVALID_URL":
      return new StateError(
        "invalid_request",
        "The path and query are ASCII: all other bytes are sent percent-encoded, as UTF-8.",
      );
    default:
      return new StateError("invalid_request", "The request is not well-formed HTTP/1.1.");
  }
}

/** Whether most of what overflowed is the request line. */
function isWithinRequestLine(packet: unknown): boolean {
  if (!Buffer.isBuffer(packet) || !/^[A-Z-]+ /.test(packet.toString("latin1", 0, 24))) return false;
  const end = packet.indexOf("\n");
  return end === -1 || end > packet.byteLength / 2;
}

function problemMessage(error: StateError): string {
  const { status, headers, body } = problemAnswer(error);
  const text = String(body);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}` +
    `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`
  );
}
