import type { IncomingMessage, Server } from "node:http";

import type { FastifyInstance } from "fastify";

import { StateError } from "../errors.ts";
import { methodNotAllowed, methodsAt } from "./allow.ts";
import { bytesOf, send, SHORT_ANSWER_MAX, type Answer } from "./answer.ts";
import { Exchange, type ServerContext } from "./exchange.ts";
import { FailureLog } from "./failure-log.ts";
import { overloaded } from "./load.ts";
import { problemAnswer, toStateError } from "./problem.ts";
import { Refusals } from "./refusals.ts";
import type { Route } from "./route.ts";
import { RouteTraffic } from "./traffic.ts";
import { stopParsingWhereCut, Turns, type Run } from "./turns.ts";

/** Runs routes: admits a request, hands it to its route, sends what the route answers. */
export class Dispatcher {
  readonly traffic: RouteTraffic[] = [];
  readonly #context: ServerContext;
  readonly #logsRequests: boolean;
  readonly #failures: FailureLog;
  readonly #refusals: Refusals;
  readonly #turns: Turns;

  constructor(context: ServerContext, options: { readonly logsRequests: boolean }) {
    this.#context = context;
    this.#logsRequests = options.logsRequests;
    this.#failures = new FailureLog(context);
    this.#refusals = new Refusals(context.clock);
    this.#turns = new Turns(context.limits.pipelinedMax);
  }

  /** Gives the router every route, and an answer for what matches none. */
  mount(app: FastifyInstance, routes: readonly Route[]): void {
    for (const route of routes) {
      const run = this.#runner(route);
      app.route({
        method: route.method === "GET" ? ["GET", "HEAD"] : route.method,
        url: route.path.replaceAll(/\{(\w+)\}/g, ":$1"),
        // Answers by itself: Fastify's own reply would build each answer's headers twice.
        handler: (request, reply) => run(request.raw, reply.raw),
      });
    }
    const runUnrouted = this.#runner(unrouted(routes));
    app.setNotFoundHandler((request, reply) => runUnrouted(request.raw, reply.raw));
    // The router takes "/" for "/{key}" with an empty key.
    app.route({
      method: ["PUT", "DELETE"],
      url: "/",
      handler: (request, reply) => runUnrouted(request.raw, reply.raw),
    });
  }

  /**
   * Calls `run` for every request of the server when it is its connection's next: before the router
   * and all else that would be done for requests which may never be served.
   */
  serveInTurn(server: Server, run: Run): void {
    const take: Run = (request, response) => this.#turns.take(request, response, run);
    server.removeAllListeners("request");
    server.on("request", take);
    // Without a listener, node:http asks for every body before a route could refuse it.
    server.on("checkContinue", take);
    server.on("connection", (socket) => this.#context.loopTime.connected(socket));
    stopParsingWhereCut(server);
  }

  #runner(route: Route): Run {
    const traffic = new RouteTraffic(route);
    this.traffic.push(traffic);
    const context = this.#context;
    const run: Run = (request, response) => {
      const exchange = new Exchange(request, response, context);
      const start = context.clock.monotonic();
      const isRefused = route.isAlwaysServed !== true && !exchange.enter();
      response.on("close", () => {
        exchange.end();
        const ms = context.clock.monotonic() - start;
        traffic.record(response.statusCode, ms / 1000);
        if (this.#logsRequests) this.#logRequest(request, response.statusCode, ms);
      });
      const answer = isRefused ? this.#refuse(request) : handle(route, exchange);
      answer.then(
        (plain) => plain !== undefined && this.#send(exchange, plain),
        (error: unknown) => this.#fail(exchange, route, error),
      );
    };
    return (request, response) => context.loopTime.take(request, response, run);
  }

  async #refuse({ socket }: IncomingMessage): Promise<never> {
    await this.#refusals.wait(socket);
    throw overloaded();
  }

  #send(exchange: Exchange, answer: Answer): void {
    const { isClosing, limits, unwantedPace } = this.#context;
    const { request, response } = exchange;
    try {
      send(request, response, this.#holdLong(exchange, answer), {
        isLast: isClosing,
        lingerMs: limits.lingerMs,
        unwantedPace,
      });
    } catch (error) {
      // A header that `node:http` refuses: nothing is sent yet, and nobody else would answer.
      this.#failures.record(toStateError(error, false));
      response.destroy();
    }
  }

  /** A long answer stays in memory until its reader has taken it; without room, a 503 goes instead. */
  #holdLong(exchange: Exchange, answer: Answer): Answer {
    const { body } = answer;
    // Of text, its characters: to count its bytes takes as long as to write them.
    const length = typeof body === "string" ? body.length : bytesOf(body);
    if (length <= SHORT_ANSWER_MAX) return answer;
    // A write's answer goes in any case: the other one would say that nothing was written.
    if (exchange.request.method !== "GET" || this.#context.load.hasRoom(length)) {
      exchange.hold(length);
      return answer;
    }
    const error = overloaded();
    this.#failures.record(error);
    return problemAnswer(error);
  }

  #fail(exchange: Exchange, route: Route, cause: unknown): void {
    const error = toStateError(cause, route.method !== "GET");
    this.#failures.record(error);
    this.#send(exchange, problemAnswer(error));
  }

  #logRequest({ method, url }: IncomingMessage, status: number, ms: number): void {
    this.#context.log.info({ method, url, status, ms: Math.round(ms * 1000) / 1000 }, "request");
  }
}

function handle(route: Route, exchange: Exchange): ReturnType<Route["handle"]> {
  const refusal = unclear(exchange.request);
  return refusal === undefined ? route.handle(exchange) : Promise.reject(refusal);
}

/** Refuses what a proxy before this server may have read differently than `node:http` did. */
function unclear(request: IncomingMessage): StateError | undefined {
  const { rawHeaders, httpVersionMajor, httpVersionMinor } = request;
  if (httpVersionMajor !== 1) {
    return new StateError("invalid_request", "The server speaks HTTP/1.1 and HTTP/1.0.");
  }
  const hosts = countHosts(rawHeaders);
  if (hosts === 1 || (hosts === 0 && httpVersionMinor === 0)) return undefined;
  return new StateError("invalid_request", 'An HTTP/1.1 request carries one "Host" header.');
}

/** Of several, `node:http` keeps the first, where a proxy may have looked at another. */
function countHosts(rawHeaders: readonly string[]): number {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === "host") count += 1;
  }
  return count;
}

/** What is answered where the router found nothing: 405 where another method would do, else 404. */
function unrouted(routes: readonly Route[]): Route {
  return {
    method: "GET",
    path: "",
    handle(exchange) {
      const methods = methodsAt(routes, exchange.url);
      if (methods !== undefined) return Promise.reject(methodNotAllowed(methods));
      return Promise.reject(new StateError("route_not_found", "There is nothing at this path."));
    },
  };
}
