import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

import type { WatchEvent } from "../api.ts";
import { StateError } from "../errors.ts";
import { toEtag } from "./etag.ts";
import type { Exchange } from "./exchange.ts";
import { overloaded } from "./load.ts";
import type { Answer } from "./answer.ts";
import { toJsonValue } from "./entry.ts";
import type { LoopTime } from "./loop-time.ts";
import type { HttpLimits } from "./options.ts";
import { toRfc3339 } from "./times.ts";

/** How long a client waits before it connects again, in milliseconds. */
const RETRY_MS = 2_000;

const NO_BYTES = new Uint8Array();

export const EVENT_STREAM_HEADERS = {
  "Content-Type": "text/event-stream",
  "Cache-Control": "no-store",
  // Proxies that buffer would hold events back.
  "X-Accel-Buffering": "no",
} as const;

interface Stream {
  readonly socket: Socket;
  readonly response: ServerResponse;
  readonly controller: AbortController;
  /** Heartbeats in a row at which nothing more could be written. */
  stuck: number;
  /** What is not written yet of an event that has been begun. */
  rest: Uint8Array;
}

/** Why a watch is followed no further. One for all: to make one takes longer than what it is for. */
const OVER = new Error("The watch is over.");

/** Heartbeats that a reader may be stuck for before it is cut off. */
const STUCK_MAX = 2;

/** Bytes of one write: only what they end at shows whether a slow reader reads at all. */
const WRITE_BYTES = 64 * 1024;

/** Heartbeats of one step: some 15 µs each, and 100 to let go of a reader. */
const BEATS_AT_A_TIME = 8;

/**
 * All watches of one server. A stream waits for its reader before it takes the next event, so it
 * holds at most one event beyond what the socket takes; the state bounds what waits behind it. One
 * timer serves all: thousands of idle watches must cost little.
 *
 * What follows a head is written to the socket: `response.write` would leave it to the end of the tick,
 * where nobody asks any more whether the turn is over.
 */
export class EventStreams {
  readonly #limits: HttpLimits;
  readonly #loopTime: LoopTime;
  readonly #streams = new Set<Stream>();
  #timer: NodeJS.Timeout | undefined;
  #lastEvent: WatchEvent | undefined;
  #lastBytes: Uint8Array = NO_BYTES;

  constructor(limits: HttpLimits, loopTime: LoopTime) {
    this.#limits = limits;
    this.#loopTime = loopTime;
  }

  get size(): number {
    return this.#streams.size;
  }

  /**
   * Sends events until they end, the client leaves, or the server stops. What fails before the first
   * event rejects, and can still be answered as a problem document.
   */
  async serve(
    exchange: Exchange,
    open: (signal: AbortSignal) => AsyncIterable<WatchEvent>,
  ): Promise<Answer | undefined> {
    if (exchange.isHead) return { status: 200, headers: { ...EVENT_STREAM_HEADERS }, body: "" };
    // All others were ended when the stop began; nothing but its deadline would end this one.
    if (exchange.server.isClosing) throw new StateError("shutting_down", "The server is stopping.");
    if (this.#streams.size >= this.#limits.watchersMax) throw overloaded();
    const { request, response } = exchange;
    const controller = new AbortController();
    const stream: Stream = {
      socket: request.socket,
      response,
      controller,
      stuck: 0,
      rest: NO_BYTES,
    };
    response.on("close", () => this.#remove(stream));
    this.#add(stream);
    exchange.leave();
    try {
      await this.#pump(stream, open(controller.signal));
    } catch (error) {
      // Once the head is out, all that can be told is that the stream ended; clients reconnect.
      if (!response.headersSent) {
        this.#remove(stream);
        throw error;
      }
      const isLeft = controller.signal.aborted || stream.socket.destroyed;
      if (!isLeft) exchange.server.log.warn({ err: error }, "a watch failed");
    }
    response.end();
    return undefined;
  }

  /** Ends every stream; their clients connect again, to another process perhaps. */
  endAll(): void {
    for (const stream of this.#streams) {
      begin(stream.response);
      end(stream, `: the server is stopping\nretry: ${RETRY_MS}\n\n`);
      stream.controller.abort(OVER);
    }
  }

  async #pump(stream: Stream, events: AsyncIterable<WatchEvent>): Promise<void> {
    const { socket, response, controller } = stream;
    for await (const event of events) {
      // One change may be for thousands of readers, and one reader a thousand changes behind.
      if (this.#loopTime.isOver) await this.#loopTime.pass(socket);
      if (response.destroyed) return;
      begin(response);
      if (response.writableEnded) return;
      stream.rest = this.#render(event);
      while (stream.rest.length > 0) {
        const isTaken = socket.write(stream.rest.subarray(0, WRITE_BYTES));
        stream.rest = stream.rest.subarray(WRITE_BYTES);
        if (isTaken) continue;
        await once(socket, "drain", { signal: controller.signal });
        stream.stuck = 0;
      }
      if (event.type === "too-slow") return;
    }
  }

  /** The same event goes to every watcher of a key, mostly one after the other; the bytes are shared. */
  #render(event: WatchEvent): Uint8Array {
    if (event !== this.#lastEvent) {
      this.#lastEvent = event;
      this.#lastBytes = Buffer.from(renderEvent(event));
    }
    return this.#lastBytes;
  }

  #add(stream: Stream): void {
    this.#streams.add(stream);
    this.#timer ??= setInterval(() => void this.#beatAll(), this.#limits.heartbeatMs).unref();
  }

  #remove(stream: Stream): void {
    this.#streams.delete(stream);
    const abort = (): void => stream.controller.abort(OVER);
    // Thousands of watches may end together, with the machine that had them open.
    if (this.#loopTime.isOver) this.#loopTime.putOff(stream.socket, abort);
    else abort();
    if (this.#streams.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#lastEvent = undefined;
    this.#lastBytes = NO_BYTES;
  }

  async #beatAll(): Promise<void> {
    let count = 0;
    for (const stream of this.#streams) {
      beat(stream);
      count += 1;
      if (count % BEATS_AT_A_TIME === 0) await this.#loopTime.pass(stream.socket);
    }
  }
}

/** A heartbeat: a sign of life to who reads, and the end for who does not. */
function beat(stream: Stream): void {
  const { socket, response } = stream;
  if (response.writableEnded) {
    // Whoever did not read even the last event since the beat before is gone, or means harm.
    response.destroy();
  } else if (!socket.writableNeedDrain && stream.rest.length === 0) {
    begin(response);
    socket.write(": \n\n");
  } else {
    stream.stuck += 1;
    if (stream.stuck === STUCK_MAX) end(stream, TOO_SLOW);
  }
}

/** Ends a stream with a last text, behind the whole of the event that it is in. */
function end(stream: Stream, text: string): void {
  const { socket, response, rest } = stream;
  stream.rest = NO_BYTES;
  if (rest.length > 0) socket.write(rest);
  response.end(text);
}

const TOO_SLOW = "event: too-slow\ndata: {}\n\n";

/** Sends the head, where it has not been sent: with the first event, or the first heartbeat. */
function begin(response: ServerResponse): void {
  if (response.headersSent || response.destroyed) return;
  // The stream ends with its connection, so that an event is one write: framed as a chunk it is three.
  response.removeHeader("Transfer-Encoding");
  response.writeHead(200, EVENT_STREAM_HEADERS);
  response.write(`retry: ${RETRY_MS}\n\n`);
}

/** One event as the EventSource standard has it. */
export function renderEvent(event: WatchEvent): string {
  const id = event.id === "" ? "" : `id: ${event.id}\n`;
  return `${id}event: ${event.type}\ndata: ${JSON.stringify(dataOf(event))}\n\n`;
}

function dataOf(event: WatchEvent): Record<string, unknown> {
  switch (event.type) {
    case "put": {
      const { key, version, createdAt, entry } = event;
      const common = { key, version, createdAt: toRfc3339(createdAt), etag: toEtag(event) };
      if (entry === undefined) return common;
      const { size, digest, contentType, author, message, value } = entry;
      const json = value === undefined ? {} : toJsonValue(value);
      return { ...common, size, digest, contentType, author, message, ...json };
    }
    case "delete":
      return { key: event.key, deleted: true, version: event.version, etag: toEtag(event) };
    case "caught-up":
    case "too-slow":
      return {};
  }
}
