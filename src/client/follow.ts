import type { WatchEvent } from "../api.ts";
import { StateError, type ErrorCode } from "../errors.ts";
import { failureOfFetch } from "./failure.ts";
import { SseParser, type SseEvent } from "./sse.ts";
import { backoffMs, pause, type Transport } from "./transport.ts";
import { itemOf, parseEtag, parseJson, textOf, timeOf } from "./wire.ts";

export interface FollowOptions {
  readonly lastEventId?: string;
  readonly signal?: AbortSignal;
}

/** Connections in a row that brought nothing, before the last one's failure is thrown. */
const FRUITLESS_MAX = 10;

/** Without any byte for this long, in milliseconds, a connection is dead: heartbeats come more often. */
const SILENCE_MS_MAX = 60_000;

/**
 * Follows an event stream across as many connections as it takes, going on after the last event's
 * id each time, so that nothing is missed or repeated. Ends with the signal or the client's close;
 * throws what the server refuses for good, such as a position that its feed no longer reaches back to.
 */
export async function* follow(
  transport: Transport,
  path: string,
  options: FollowOptions,
): AsyncGenerator<WatchEvent, void, undefined> {
  const ending = new AbortController();
  const signal = AbortSignal.any([ending.signal, ...(options.signal ? [options.signal] : [])]);
  const place: Place = { id: options.lastEventId ?? "", fruitless: 0 };
  try {
    while (!signal.aborted && !transport.isClosed) {
      const failure = yield* connectOnce(transport, { path, signal, place });
      if (signal.aborted || transport.isClosed) return;
      place.fruitless += 1;
      if (failure !== undefined && (isFinal(failure) || place.fruitless > FRUITLESS_MAX)) {
        throw failure;
      }
      await pause(backoffMs(place.fruitless), signal);
    }
  } finally {
    // Whoever stops reading early leaves no connection behind.
    ending.abort();
  }
}

/** Where a reader is, across connections. */
interface Place {
  /** Of the last event; empty before the first one that has an id. */
  id: string;
  /** Connections since the last event. */
  fruitless: number;
}

interface Connection {
  readonly path: string;
  readonly signal: AbortSignal;
  readonly place: Place;
}

/** Yields the events of one connection, and returns what ended it, unless it was its regular end. */
async function* connectOnce(
  transport: Transport,
  connection: Connection,
): AsyncGenerator<WatchEvent, StateError | undefined, undefined> {
  const { place } = connection;
  try {
    for await (const event of eventsOf(transport, connection)) {
      place.fruitless = 0;
      if (event.id !== "") place.id = event.id;
      // A reader that was too slow is cut off, and goes on where it was.
      if (event.type !== "too-slow") yield event;
    }
    return undefined;
  } catch (error) {
    if (error instanceof StateError) return error;
    return failureOfFetch(error, { isWrite: false, isTimeout: false }).error;
  }
}

async function* eventsOf(
  transport: Transport,
  { path, signal, place }: Connection,
): AsyncGenerator<WatchEvent, void, undefined> {
  const silence = new Silence();
  const headers = {
    Accept: "text/event-stream",
    ...(place.id === "" ? {} : { "Last-Event-ID": place.id }),
  };
  const parser = new SseParser();
  const decoder = new TextDecoder();
  try {
    const both = AbortSignal.any([signal, silence.signal]);
    const response = await transport.open({ path, headers }, both);
    for await (const bytes of chunksOf(response)) {
      silence.broken();
      for (const event of parser.push(decoder.decode(bytes, { stream: true }))) {
        const known = toEvent(event);
        if (known !== undefined) yield known;
      }
    }
  } finally {
    silence.end();
  }
}

/** A response's body, read by hand: not every browser can iterate over one. */
async function* chunksOf(response: Response): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

/** Aborts its signal when nothing was heard for too long. */
class Silence {
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.broken();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  broken(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), SILENCE_MS_MAX);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** Undefined for a type of event that this client does not know. */
function toEvent({ type, data, id }: SseEvent): WatchEvent | undefined {
  if (type === "caught-up" || type === "too-slow") return { type, id };
  if (type !== "put" && type !== "delete") return undefined;
  const json = parseJson(data);
  const key = textOf(json, "key");
  const ref = parseEtag(textOf(json, "etag"));
  if (type === "delete") return { type, id, key, ...ref };
  return {
    type,
    id,
    key,
    ...ref,
    createdAt: timeOf(json, "createdAt"),
    // An entry that was removed before it could be read comes without its metadata.
    entry: json["digest"] === undefined ? undefined : itemOf(json),
  };
}

const PASSING: ReadonlySet<ErrorCode> = new Set([
  "overloaded",
  "shutting_down",
  "store_unavailable",
  "request_timeout",
  // A proxy's 504: the server was too slow for it.
  "outcome_unknown",
]);

/** Whether another connection would be answered the same. */
function isFinal(error: StateError): boolean {
  return !PASSING.has(error.code);
}
