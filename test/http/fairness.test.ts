import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";

import { silentLog, type Log } from "../../src/telemetry/log.ts";
import { mostInATurn } from "../most-in-a-turn.ts";
import { waitUntil } from "../servers/process.ts";
import { RawClient, serve, type Served } from "./serve.ts";

const GET = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

test("a connection that is cut for what it sent ahead is not read to the end", async () => {
  const failures: unknown[] = [];
  const note = (fields: object): void => void failures.push(fields);
  const log: Log = { ...silentLog, warn: note, error: note };
  await using served = await serve({ limits: { pipelinedMax: 10 }, log });
  let requests = 0;
  served.server.fastify.server.on("request", () => (requests += 1));
  const client = new RawClient(served.port);
  client.send(`GET /a/watch HTTP/1.1\r\nHost: x\r\n\r\n${GET.repeat(1_000)}`);
  await client.closed();
  assert.ok(requests > 10 && requests < 20, `${requests} requests were made objects of`);
  assert.equal((await fetch(`${served.url}/a`)).status, 404);
  assert.deepEqual(failures, [], "that the client of a watch is gone is no failure");
});

/** Sends a body as fast as it is taken; answers what of it the server read in a turn at most. */
async function mostReadInATurn(served: Served, head: string, bytes: number): Promise<number> {
  const { server } = served.server.fastify;
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const client = connect(served.port, "127.0.0.1");
  client.on("error", () => {});
  const [socket] = await accepted;
  let isOver = false;
  client.on("close", () => (isOver = true));
  client.on("data", () => {});
  client.write(head);
  client.end(Buffer.alloc(bytes, "x"));
  let before = 0;
  let most = 0;
  while (!isOver) {
    await nextTurn();
    most = Math.max(most, socket.bytesRead - before);
    before = socket.bytesRead;
  }
  return most;
}

test("of a long body, little is read in each turn of the event loop", async () => {
  await using served = await serve();
  const bytes = 8 * 1024 * 1024;
  const head = `PUT /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${bytes}\r\n\r\n`;
  const most = await mostReadInATurn(served, head, bytes);
  assert.ok(most < 600_000, `${most} bytes were read in one turn`);
  const { value } = (await served.state.get("a")) ?? {};
  assert.equal(Buffer.compare(value ?? Buffer.of(), Buffer.alloc(bytes, "x")), 0);
});

test("of a body that is refused, little is read in each turn of the event loop", async () => {
  await using served = await serve({ maxValueBytes: 1_000 });
  const bytes = 8 * 1024 * 1024;
  const head = `PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n`;
  const most = await mostReadInATurn(served, head, bytes);
  assert.ok(most < 600_000, `${most} bytes were read in one turn`);
  assert.equal(await served.state.get("a"), undefined);
});

test("what nobody asked for is not read as fast as it can be sent", async () => {
  await using served = await serve({ maxValueBytes: 1_000, limits: { lingerMs: 500 } });
  const accepted = once(served.server.fastify.server, "connection") as Promise<[Socket]>;
  const client = connect(served.port, "127.0.0.1");
  client.on("error", () => {});
  client.on("data", () => {});
  const [socket] = await accepted;
  const piece = Buffer.alloc(256 * 1024, "x");
  const send = (): void => {
    while (client.writable && client.write(piece));
  };
  client.on("drain", send);
  client.write("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000000\r\n\r\n");
  send();
  await once(socket, "close");
  client.destroy();
  assert.ok(
    socket.bytesRead < 100 * 2 ** 20,
    `${socket.bytesRead} bytes were read in half a second`,
  );
});

test("large values come as they were put, as JSON and as they are", async () => {
  await using served = await serve();
  const text = `"€\\\n𝄞`.repeat(100_000);
  const bytes = Buffer.alloc(500_001, Buffer.from([0xff, 0, 0x80]));
  await served.state.put("text", text);
  await served.state.put("bytes", bytes);
  const asJson = await fetch(`${served.url}/text`);
  const body = await asJson.text();
  assert.equal(asJson.headers.get("content-length"), `${Buffer.byteLength(body)}`);
  assert.equal(body, JSON.stringify({ value: text, version: 1 }));
  const binary = (await (await fetch(`${served.url}/bytes`)).json()) as { value: string };
  assert.deepEqual(binary, { value: bytes.toString("base64"), encoding: "base64", version: 1 });
  assert.equal(await (await fetch(`${served.url}/text?raw`)).text(), text);
});

/** Calls `onWrite` for all that is written to a server's connections, once it takes a millisecond each. */
function slowWrites(served: Served, onWrite: () => void): void {
  served.server.fastify.server.on("connection", (socket: Socket) => {
    const write = socket._write.bind(socket);
    const writev = socket._writev?.bind(socket);
    const takeTime = (): void => {
      const end = performance.now() + 1;
      while (performance.now() < end);
      onWrite();
    };
    socket._write = (...args) => {
      takeTime();
      write(...args);
    };
    socket._writev = (...args) => {
      takeTime();
      writev?.(...args);
    };
  });
}

/** Opens a hundred watches of one key. */
async function openWatches(served: Served): Promise<readonly RawClient[]> {
  const watchers = Array.from({ length: 100 }, () => new RawClient(served.port));
  for (const client of watchers) client.send("GET /a/watch HTTP/1.1\r\nHost: x\r\n\r\n");
  await waitUntil("the watches", () => areTold(watchers, "caught-up"));
  return watchers;
}

function areTold(watchers: readonly RawClient[], event: string): boolean {
  return watchers.every(({ received }) => received.includes(`event: ${event}`));
}

test("of the watches of a key, few are told of a change in each turn of the event loop", async () => {
  await using served = await serve();
  let written = 0;
  slowWrites(served, () => (written += 1));
  const watchers = await openWatches(served);
  written = 0;
  await served.state.put("a", "x");
  const most = await mostInATurn(() => written, watchers.length);
  assert.ok(most < 20, `${most} were told in one turn`);
  await waitUntil("all to be told", () => areTold(watchers, "put"));
});

test("few heartbeats are sent in each turn of the event loop", async () => {
  await using served = await serve({ limits: { heartbeatMs: 500 } });
  let written = 0;
  slowWrites(served, () => (written += 1));
  const watchers = await openWatches(served);
  written = 0;
  const most = await mostInATurn(() => written, watchers.length);
  assert.ok(most < 20, `${most} were sent in one turn`);
});

test("that the client of a watch leaves is no failure, however much is still to be sent", async () => {
  const failures: unknown[] = [];
  const note = (fields: object): void => void failures.push(fields);
  await using served = await serve({ log: { ...silentLog, warn: note, error: note } });
  const client = new RawClient(served.port);
  await once(client.socket, "connect");
  client.socket.pause();
  client.send("GET /-/watch?values=true HTTP/1.1\r\nHost: x\r\n\r\n");
  await waitUntil("it to watch", () => served.state.stats.watchers === 1);
  for (let n = 0; n < 30; n += 1) await served.state.put("k", "x".repeat(1_000_000));
  client.socket.resetAndDestroy();
  await waitUntil("the watch to be gone", () => served.state.stats.watchers === 0);
  assert.deepEqual(failures, []);
});

test("five hundred connections whose time is up at once are all told", async () => {
  const limits = { headersTimeoutMs: 100, requestTimeoutMs: 200, connectionsCheckMs: 1_000 };
  await using served = await serve({ limits });
  const clients = Array.from({ length: 500 }, () => new RawClient(served.port));
  for (const client of clients) client.send("GET /a HTTP/1.1\r\nHost: x\r\nX-Slow: ");
  const answers = await Promise.all(clients.map((client) => client.answer()));
  assert.deepEqual(new Set(answers.map((answer) => answer?.status)), new Set([408]));
  await waitUntil("all to be closed", () => clients.every(({ socket }) => socket.closed));
});
