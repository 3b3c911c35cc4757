import { StateError } from "../errors.ts";
import { CONTENT_TYPE_CHARS_MAX } from "../limits.ts";
import type { Exchange } from "./exchange.ts";
import { overloaded } from "./load.ts";

/** Of a body that is of no use. */
const UNUSED_BYTES_MAX = 1024 * 1024;

const NO_BYTES = Buffer.alloc(0);

/** A body that is longer than this is read in pieces: it takes several turns of the event loop anyway. */
const PACED_FROM_BYTES = 256 * 1024;

/**
 * Reads the body of a request whole, whatever its Content-Type says. A body that is, or grows, past
 * `bytesMax` is refused with `value_too_large` without being read to its end.
 */
export function readBody(exchange: Exchange, bytesMax: number): Promise<Uint8Array> {
  const { headers } = exchange.request;
  const isChunked = headers["transfer-encoding"] !== undefined;
  const declared = Number(headers["content-length"] ?? 0);
  if (declared === 0 && !isChunked) return Promise.resolve(NO_BYTES);
  if (declared > bytesMax) return Promise.reject(tooLarge(bytesMax));
  if (!exchange.server.load.hasRoom(declared)) return Promise.reject(overloaded());
  exchange.hold(declared);
  // Only now: a client that asks first has not sent a body that is refused.
  if (headers.expect !== undefined && exchange.request.httpVersionMinor > 0)
    exchange.response.writeContinue();
  return collect(exchange, declared, bytesMax);
}

/**
 * Waits for the end of a body that is of no use. Who acts before it has come may act on what is then
 * refused, as no HTTP or as too slow, as if nothing had been done.
 */
export async function endOfBody(exchange: Exchange): Promise<void> {
  await readBody(exchange, UNUSED_BYTES_MAX);
}

function collect(exchange: Exchange, declared: number, bytesMax: number): Promise<Uint8Array> {
  const { request } = exchange;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const refuse = (error: StateError): void => {
      request.off("data", onData);
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.byteLength;
      if (size > bytesMax) return refuse(tooLarge(bytesMax));
      if (size > declared) {
        if (!exchange.server.load.hasRoom(chunk.byteLength)) return refuse(overloaded());
        exchange.hold(chunk.byteLength);
      }
      chunks.push(chunk);
      if (size >= PACED_FROM_BYTES && size !== declared) exchange.server.bodyPace.pause(request);
    };
    request.on("data", onData);
    request.on("end", () => {
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
    });
    // After the end this is never called, or does nothing to a promise that is settled.
    exchange.onCut(() => reject(cutShort()));
  });
}

function tooLarge(limit: number): StateError {
  return new StateError(
    "value_too_large",
    `The body may hold at most ${limit} bytes. Nothing was written.`,
    { details: { limit } },
  );
}

/** The client is gone, so that only the log and the metrics see it. */
function cutShort(): StateError {
  return new StateError("invalid_request", "The connection ended within the body.");
}

const MEDIA_TYPE =
  /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[\t ]*;[\t \x21-\x7e]*)?$/;

/** What `curl -d` sends, whatever the body is. */
const FORM = /^application\/x-www-form-urlencoded(?:[\t ;]|$)/i;

/**
 * The content type to store with a value: as it was sent where it is of use, undefined where it is
 * absent, no media type, too long, or the one that `curl -d` sends whatever the body is.
 */
export function usefulContentType(sent: string | undefined): string | undefined {
  if (sent === undefined || sent.length > CONTENT_TYPE_CHARS_MAX) return undefined;
  return MEDIA_TYPE.test(sent) && !FORM.test(sent) ? sent : undefined;
}
