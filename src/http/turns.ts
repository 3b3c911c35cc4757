import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Serves one request. */
export type Run = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * Runs the requests of one connection one after the other. A client may send the next before it has
 * the answer to the one before, and `node:http` hands over all that came in one packet at once. Run
 * together, a GET sent behind a PUT could miss it; and a packet of 64 KiB holds 2,000 requests, whose
 * answers would all be kept in memory behind one that nobody reads, or a watch that never ends.
 */
export class Turns {
  readonly #waitingMax: number;
  readonly #waiting = new WeakMap<Socket, number>();

  /** `waitingMax`: what one connection may have waiting before it is cut. */
  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax;
  }

  /** Calls `run` when all earlier requests of the connection have been answered; now, mostly. */
  take(request: IncomingMessage, response: ServerResponse, run: Run): void {
    // A response has its socket from the moment on at which it is the connection's next.
    if (response.socket !== null) return run(request, response);
    const { socket } = request;
    const waiting = (this.#waiting.get(socket) ?? 0) + 1;
    // What is cut was never begun, so that the client can send it again.
    if (waiting > this.#waitingMax) return void socket.destroy();
    this.#waiting.set(socket, waiting);
    response.once("socket", () => {
      this.#waiting.set(socket, (this.#waiting.get(socket) ?? 1) - 1);
      run(request, response);
    });
  }
}

/** What `node:http` hangs on a connection. It has no public name for it. */
interface Parser {
  /** Makes a response of a request; a negative answer stops the parser. */
  onIncoming: (request: IncomingMessage, shouldKeepAlive: boolean) => number;
}

/**
 * Stops the parser of a connection that has been cut. It would read on to the end of what came with
 * the same packet, and make objects of thousands of requests that nobody will serve.
 */
export function stopParsingWhereCut(server: Server): void {
  server.on("connection", (socket) => {
    const { parser } = socket as Socket & { readonly parser?: Partial<Parser> | null };
    const onIncoming = parser?.onIncoming;
    if (parser === undefined || parser === null || onIncoming === undefined) return;
    parser.onIncoming = unlessCut(socket, onIncoming);
  });
}

function unlessCut(socket: Socket, onIncoming: Parser["onIncoming"]): Parser["onIncoming"] {
  return (request, shouldKeepAlive) =>
    socket.destroyed ? -1 : onIncoming(request, shouldKeepAlive);
}
