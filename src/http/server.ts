import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";

import { fastify, type FastifyInstance } from "fastify";

import type { StateApi } from "../api.ts";
import { VALUE_BYTES_DEFAULT } from "../limits.ts";
import { systemClock } from "../telemetry/clock.ts";
import { silentLog } from "../telemetry/log.ts";
import { methodsAt } from "./allow.ts";
import { BodyPace } from "./body-pace.ts";
import { answerClientError } from "./client-error.ts";
import { connectionsOf } from "./connections.ts";
import { Dispatcher } from "./dispatcher.ts";
import { EventStreams } from "./event-streams.ts";
import type { ServerContext } from "./exchange.ts";
import { problemAnswer } from "./problem.ts";
import { undecodable } from "./path.ts";
import { send } from "./answer.ts";
import { Load } from "./load.ts";
import { LoopTime } from "./loop-time.ts";
import { OneAtATime } from "./one-at-a-time.ts";
import { HTTP_LIMITS_DEFAULT, type HttpLimits, type HttpOptions } from "./options.ts";
import { metricsOf } from "./traffic.ts";
import { guardStalls } from "./stalls.ts";
import { ROUTES } from "./routes/index.ts";

/**
 * Connections that the kernel holds until they are taken in, as far as it allows (`net.core.somaxconn`,
 * 4,096 on Linux). Without room for it there, a client hears nothing and tries again after a second.
 */
const BACKLOG = 4_096;

/** A server over one state. It does not own the state: close that after the server. */
export interface HttpServer {
  /** For `inject` in tests, and for who embeds it. */
  readonly fastify: FastifyInstance;
  /** Binds, and answers where. Port 0 takes a free one. */
  listen(address: { readonly port: number; readonly host?: string }): Promise<AddressInfo>;
  /**
   * Stops taking connections, ends watches, lets what is under way finish, and cuts what is left
   * after `drainMs`.
   */
  close(drainMs?: number): Promise<void>;
}

/** Makes a server; it listens when told to. */
export async function createServer(
  state: StateApi,
  options: HttpOptions = {},
): Promise<HttpServer> {
  const limits = { ...HTTP_LIMITS_DEFAULT, ...options.limits };
  const context = contextOf(state, options, limits);
  const app = newFastify(context);
  const dispatcher = new Dispatcher(context, { logsRequests: options.logRequests ?? false });
  dispatcher.mount(app, ROUTES);
  context.metrics = metricsOf(context, dispatcher.traffic, options.registry);
  app.server.maxConnections = limits.connectionsMax;
  dispatcher.serveInTurn(app.server, (request, response) => app.routing(request, response));
  const connections = connectionsOf(app.server);
  guardStalls(app.server, connections, limits.stallTimeoutMs);
  await app.ready();
  return {
    fastify: app,
    async listen({ port, host = "127.0.0.1" }): Promise<AddressInfo> {
      // Not by Fastify, which opens a second server for "localhost", without the limits of this one.
      app.server.listen({ port, host, backlog: BACKLOG });
      await once(app.server, "listening");
      return app.server.address() as AddressInfo;
    },
    close: (drainMs = 10_000) => close(app, context, connections, drainMs),
  };
}

function contextOf(state: StateApi, options: HttpOptions, limits: HttpLimits): ServerContext {
  const loopTime = new LoopTime(options.clock ?? systemClock);
  return {
    state,
    clock: options.clock ?? systemClock,
    log: options.log ?? silentLog,
    limits,
    maxValueBytes: options.maxValueBytes ?? VALUE_BYTES_DEFAULT,
    requireConditions: options.requireConditions ?? false,
    store: options.store,
    ready: options.ready ?? (() => Promise.resolve({ ready: true })),
    metrics: () => Promise.resolve({ contentType: "text/plain", text: "" }),
    load: new Load(limits),
    loopTime,
    bodyPace: BodyPace.wanted(),
    unwantedPace: BodyPace.unwanted(),
    streams: new EventStreams(limits, loopTime),
    largeAnswers: new OneAtATime(),
    methodsAt: (url) => methodsAt(ROUTES, url),
    isClosing: false,
  };
}

function newFastify({ limits, loopTime, unwantedPace }: ServerContext): FastifyInstance {
  const app: FastifyInstance = fastify({
    logger: false,
    // Ids are for logs that are not written here.
    genReqId: () => "",
    // HEAD is served by the GET routes, which know to leave the value unread.
    exposeHeadRoutes: false,
    // During a stop, requests that still come are served, on connections that then close.
    return503OnClosing: false,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    http: {
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: limits.connectionsCheckMs,
      // Refused by the dispatcher, as a problem document.
      requireHostHeader: false,
      // Spares a request without a body the life of a stream: a tenth of the time of a short GET.
      optimizeEmptyRequests: true,
    },
    // No route has a schema of Fastify's own; loading its compilers would take a tenth of the start.
    schemaController: {
      compilersFactory: { buildValidator: refuseSchema, buildSerializer: refuseSchema },
    },
    clientErrorHandler: (error, socket) => answerClientError(error, socket, loopTime),
    // The router could not decode the path.
    frameworkErrors: (cause, request, reply) => {
      send(request.raw, reply.raw, problemAnswer(undecodable(cause)), {
        isLast: false,
        lingerMs: limits.lingerMs,
        unwantedPace,
      });
    },
    routerOptions: {
      // A key of 512 bytes, each of them escaped; node:http bounds the whole line.
      maxParamLength: limits.headerBytesMax,
      caseSensitive: true,
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
      // The routes read their query from the request line.
      querystringParser: () => ({}),
      compile: true,
    },
  });
  // Bodies are raw bytes under any Content-Type, valid or not: the routes read them themselves.
  for (const method of app.supportedMethods) {
    app.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  }
  return app;
}

function refuseSchema(): never {
  throw new Error("The routes of this server check what they are sent themselves.");
}

async function close(
  app: FastifyInstance,
  context: ServerContext,
  connections: ReadonlySet<Socket>,
  drainMs: number,
): Promise<void> {
  if (context.isClosing) return;
  context.isClosing = true;
  const { server } = app;
  context.streams.endAll();
  const deadline = setTimeout(() => server.closeAllConnections(), drainMs);
  const sweep = setInterval(() => {
    // A connection between two requests is idle once its answer is out.
    server.closeIdleConnections();
    // To `node:http`, one on which nothing has come is not: browsers open some ahead of their requests.
    for (const socket of connections) if (socket.bytesRead === 0) socket.destroy();
  }, 20);
  try {
    if (server.listening) {
      server.close();
      await once(server, "close");
    }
  } finally {
    clearTimeout(deadline);
    clearInterval(sweep);
  }
  await app.close();
}
