import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { test } from "node:test";
import { Worker } from "node:worker_threads";

import { systemClock } from "../../src/telemetry/clock.ts";
import { LoopTime } from "../../src/http/loop-time.ts";
import { serve } from "./serve.ts";

const CONNECTIONS = 60;

/** Opens all connections and says so; one that asks does so again on each whenever it is answered. */
const CLIENT = `
  const { connect } = require("node:net");
  const { workerData: { port, connected, count, asks } } = require("node:worker_threads");
  const request = "GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n";
  let open = 0;
  const isOpen = () => {
    open += 1;
    if (open < count) return;
    Atomics.store(connected, 0, 1);
    Atomics.notify(connected, 0);
  };
  for (let index = 0; index < count; index += 1) {
    const socket = connect(port, "127.0.0.1", asks ? () => socket.write(request, isOpen) : isOpen);
    if (asks) socket.on("data", () => socket.write(request));
    socket.on("error", () => {});
  }
`;

test("two thousand connections have room while the server is busy", async () => {
  await using served = await serve();
  const connected = new Int32Array(new SharedArrayBuffer(4));
  const workerData = { port: served.port, connected, count: 2_000, asks: false };
  const client = new Worker(CLIENT, { eval: true, workerData });
  // Nothing is taken in while this thread stands still: what has no room waits for ever.
  const outcome = Atomics.wait(connected, 0, 0, 30_000);
  await client.terminate();
  assert.notEqual(outcome, "timed-out");
});

test("connections are taken in while others are busy", async () => {
  const heard = new Set<Socket>();
  let served = 0;
  let servedAtLast: number | undefined;
  const answer: RequestListener = (request, response) => {
    const end = performance.now() + 2;
    while (performance.now() < end);
    served += 1;
    heard.add(request.socket);
    if (heard.size === CONNECTIONS) servedAtLast ??= served;
    response.end();
  };
  const loopTime = new LoopTime(systemClock);
  const server = createServer((request, response) => loopTime.take(request, response, answer));
  server.on("connection", (socket) => loopTime.connected(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const { port } = server.address() as AddressInfo;
  const connected = new Int32Array(new SharedArrayBuffer(4));
  const workerData = { port, connected, count: CONNECTIONS, asks: true };
  const client = new Worker(CLIENT, { eval: true, workerData });
  // This thread stands still until all have connected and asked: none has been taken in by then.
  Atomics.wait(connected, 0, 0);
  while (servedAtLast === undefined) await once(server, "request");
  await client.terminate();
  server.closeAllConnections();
  server.close();

  // Served as they are read, it is some 1,800: one more connection each time that all are served.
  assert.ok(servedAtLast < 5 * CONNECTIONS, `${servedAtLast} were served before the last one`);
});
