import type { IncomingMessage, ServerResponse } from "node:http";

import type { StateApi } from "../api.ts";
import type { StoreInfo } from "../store.ts";
import type { Clock } from "../telemetry/clock.ts";
import type { Log } from "../telemetry/log.ts";
import { addressOf } from "./address.ts";
import type { BodyPace } from "./body-pace.ts";
import type { Load } from "./load.ts";
import type { LoopTime } from "./loop-time.ts";
import type { HttpLimits, Readiness } from "./options.ts";
import type { EventStreams } from "./event-streams.ts";
import type { OneAtATime } from "./one-at-a-time.ts";

/** What all routes of one server share. */
export interface ServerContext {
  readonly state: StateApi;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: HttpLimits;
  readonly maxValueBytes: number;
  readonly requireConditions: boolean;
  readonly store: StoreInfo | undefined;
  readonly ready: () => Promise<Readiness>;
  /** All metrics in the text form of Prometheus. */
  metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  readonly load: Load;
  readonly streams: EventStreams;
  readonly loopTime: LoopTime;
  /** How bodies come in that are long. */
  readonly bodyPace: BodyPace;
  /** The same for those that are read to be thrown away. */
  readonly unwantedPace: BodyPace;
  /** Where large values are made JSON of. */
  readonly largeAnswers: OneAtATime;
  /** The methods that a path takes; undefined where it is none of this server's. */
  readonly methodsAt: (url: string) => readonly string[] | undefined;
  /** True from the start of `close` on. */
  isClosing: boolean;
}

/** One request under way. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly server: ServerContext;
  #heldBytes = 0;
  #isUnderWay = false;
  /** The address of whose kept places this one is. */
  #keptFor: string | undefined;
  #isOver = false;
  #cut: (() => void) | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, server: ServerContext) {
    this.request = request;
    this.response = response;
    this.server = server;
  }

  /** The request target as it was sent. */
  get url(): string {
    return this.request.url ?? "/";
  }

  get isHead(): boolean {
    return this.request.method === "HEAD";
  }

  /** A header's value; undefined where it was not sent. Repeated ones are joined by a comma. */
  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return typeof value === "string" ? value : value?.join(", ");
  }

  /** Counts bytes against the server's bound until the exchange ends; nothing where it has ended. */
  hold(bytes: number): void {
    // The client left while its answer was being made: nobody would let go of these.
    if (this.#isOver) return;
    this.#heldBytes += bytes;
    this.server.load.heldBytes += bytes;
  }

  /**
   * Counts the exchange among the requests under way until it ends, or {@link leave} is called. False
   * where too many are under way.
   */
  enter(): boolean {
    const { load } = this.server;
    if (load.isCrowded) {
      const address = addressOf(this.request.socket);
      if (!load.takeKept(address)) return false;
      this.#keptFor = address;
    }
    this.#isUnderWay = true;
    load.inFlight += 1;
    return true;
  }

  /** For a watch, which stays open for hours and is bounded by a count of its own. */
  leave(): void {
    if (!this.#isUnderWay) return;
    this.#isUnderWay = false;
    this.server.load.inFlight -= 1;
    if (this.#keptFor !== undefined) this.server.load.leaveKept(this.#keptFor);
  }

  /** Has `cut` called where the connection goes while the request is still arriving. */
  onCut(cut: () => void): void {
    this.#cut = cut;
  }

  /** Called once, when the response is out or its connection gone. */
  end(): void {
    this.#isOver = true;
    if (this.#cut !== undefined && !this.request.complete) this.#cut();
    this.server.load.heldBytes -= this.#heldBytes;
    this.leave();
  }
}
