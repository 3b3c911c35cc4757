import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import { StateError } from "../../src/errors.ts";
import { createServer } from "../../src/http/server.ts";
import { open } from "../../src/index.ts";
import type { Log } from "../../src/telemetry/log.ts";
import { freePort, waitUntil } from "../servers/process.ts";
import { Stopwatch } from "../servers/stopwatch.ts";
import { problemOf, RawClient, serve, type RawAnswer, type Served } from "./serve.ts";

const QUICK = { headersTimeoutMs: 100, requestTimeoutMs: 200, connectionsCheckMs: 20 };

function codeOf(answer: RawAnswer | undefined): string {
  assert.equal(answer?.headers["content-type"], "application/problem+json", answer?.body);
  return (JSON.parse(answer.body) as { code: string }).code;
}

test("headers that do not arrive in time are answered 408, and the connection ends", async () => {
  await using served = await serve({ limits: QUICK });
  const client = new RawClient(served.port);
  client.send("GET /a HTTP/1.1\r\nHost: x\r\nX-Slow: ");
  const answer = await client.answer();
  assert.equal(answer?.status, 408);
  assert.equal(codeOf(answer), "request_timeout");
  await client.closed();
});

test("a body that does not arrive in time is answered 408, and nothing is written", async () => {
  await using served = await serve({ limits: QUICK });
  const client = new RawClient(served.port);
  client.send("PUT /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf");
  const answer = await client.answer();
  assert.equal(answer?.status, 408);
  assert.equal(codeOf(answer), "request_timeout");
  await client.closed();
  assert.equal(await served.state.get("slow"), undefined);
  await waitUntil("the load to be let go", async () => (await loadOf(served)).heldBytes === 0);
});

test("a connection that sends nothing is closed", async () => {
  await using served = await serve({ limits: QUICK });
  const client = new RawClient(served.port);
  await client.closed();
});

interface LoadFigures {
  readonly inFlight: number;
  readonly heldBytes: number;
}

/** Asks without a connection, which a server of short limits could close meanwhile. */
async function loadOf({ server }: Served): Promise<LoadFigures> {
  const { body } = await server.fastify.inject("/-/readyz?verbose");
  return (JSON.parse(body) as { readonly server: LoadFigures }).server;
}

test("a reader that never reads is cut off, and its answer's bytes are let go", async () => {
  await using served = await serve({ limits: { stallTimeoutMs: 1_000 } });
  await served.state.put("big", "x".repeat(8_000_000));
  const client = new RawClient(served.port);
  await once(client.socket, "connect");
  client.socket.pause();
  client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
  await waitUntil("the answer to be held", async () => {
    const { inFlight, heldBytes } = await loadOf(served);
    return inFlight === 1 && heldBytes >= 8_000_000;
  });
  await waitUntil("the reader to be cut off", async () => (await loadOf(served)).inFlight === 0);
  assert.equal((await loadOf(served)).heldBytes, 0);
  client.destroy();
});

test("answers that nobody reads hold no more than the bound", async () => {
  await using served = await serve({ limits: { heldBytesMax: 10_000_000, pipelinedMax: 30 } });
  await served.state.put("big", "x".repeat(1_000_000));
  const get = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
  const clients = Array.from({ length: 20 }, () => new RawClient(served.port));
  for (const client of clients) {
    client.socket.pause();
    client.send(get.repeat(30));
  }
  let looks = 0;
  await waitUntil("as many answers to be held as may be", async () => {
    const { heldBytes } = await loadOf(served);
    assert.ok(heldBytes <= 10_000_000, `${heldBytes} bytes were held`);
    looks = heldBytes > 9_000_000 ? looks + 1 : 0;
    return looks > 20;
  });
  for (const client of clients) client.destroy();
  await waitUntil("all to be let go", async () => {
    const { inFlight, heldBytes } = await loadOf(served);
    return inFlight === 0 && heldBytes === 0;
  });
});

test("an answer that is made when its client has left is not held", async () => {
  await using served = await serve();
  const { state } = served;
  await state.put("big", "x".repeat(100_000));
  const { promise: hasLeft, resolve: goOn } = Promise.withResolvers<void>();
  const get = state.get.bind(state);
  state.get = (key) => hasLeft.then(() => get(key));
  const client = new RawClient(served.port);
  client.send("GET /big?raw HTTP/1.1\r\nHost: x\r\n\r\n");
  await waitUntil("it to be under way", async () => (await loadOf(served)).inFlight === 1);
  client.destroy();
  await waitUntil("it to be over", async () => (await loadOf(served)).inFlight === 0);
  goOn();
  // What is asked for later is answered later.
  assert.equal((await served.server.fastify.inject("/big?raw")).body.length, 100_000);
  assert.equal((await loadOf(served)).heldBytes, 0);
});

test("a long read without room is answered 503, and a small one is served", async () => {
  await using served = await serve({ limits: { heldBytesMax: 100_000 } });
  await served.state.put("big", "x".repeat(200_000));
  await served.state.put("small", "v");
  const refused = await fetch(`${served.url}/big`);
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.equal((await problemOf(refused)).code, "overloaded");
  assert.equal((await fetch(`${served.url}/small`)).status, 200);
});

test("requests sent behind a watch take no room from others", async () => {
  await using served = await serve({ limits: { pipelinedMax: 50 } });
  const get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
  const watch = "GET /a/watch HTTP/1.1\r\nHost: x\r\n\r\n";
  const few = new RawClient(served.port);
  few.send(watch + get.repeat(50));
  await waitUntil("the watch", () => few.received.includes("caught-up"));
  assert.equal((await loadOf(served)).inFlight, 0);
  assert.equal(few.socket.destroyed, false);
  few.send(get);
  await few.closed();
  assert.equal((await fetch(`${served.url}/a`)).status, 404);
});

/** Has a PUT under way, which waits for a byte more. */
async function occupy(served: Served): Promise<RawClient> {
  const client = new RawClient(served.port);
  client.send("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1");
  await waitUntil("it to be under way", async () => (await loadOf(served)).inFlight === 1);
  return client;
}

test("requests past the bound are answered 503 before their body is read", async () => {
  await using served = await serve({ limits: { inFlightMax: 1 } });
  const first = await occupy(served);
  const second = new RawClient(served.port);
  second.send("PUT /b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  const refused = await second.answer();
  assert.equal(refused?.status, 503);
  assert.equal(refused.headers["retry-after"], "1");
  assert.equal(codeOf(refused), "overloaded");
  const others = ["/a", "/-/keys", "/nothing/here/at/all"];
  const answers = await Promise.all(others.map((path) => fetch(served.url + path)));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [503, 503, 503],
  );
  for (const path of ["/-/livez", "/-/readyz", "/-/metrics"]) {
    assert.equal((await fetch(served.url + path)).status, 200, path);
  }
  first.send("2");
  assert.equal((await first.answer())?.status, 200);
  // An answer may be seen a moment before the server knows that it is out.
  await waitUntil("room", async () => (await fetch(`${served.url}/a`)).status === 200);
  first.destroy();
  second.destroy();
});

test("the last places are kept for clients of other addresses", async () => {
  await using served = await serve({ limits: { inFlightMax: 40 } });
  const clients: RawClient[] = [];
  /** Begins requests until one is refused; answers how many were not. */
  const fill = async (address: string): Promise<number> => {
    for (let count = 0; ; count += 1) {
      const client = new RawClient(served.port, address);
      client.send(
        "PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
      );
      const answer = await client.answer();
      if (answer?.status === 100) clients.push(client);
      else {
        assert.equal(answer?.status, 503);
        client.destroy();
        return count;
      }
    }
  };
  assert.equal(await fill("127.0.0.1"), 34);
  assert.equal(await fill("127.0.0.2"), 4);
  assert.equal(await fill("127.0.0.3"), 2);
  assert.equal(await fill("127.0.0.4"), 0);
  for (const client of clients) client.send("v");
  const answers = await Promise.all(clients.map((client) => client.answer()));
  assert.deepEqual(new Set(answers.map((answer) => answer?.status)), new Set([200]));
  await waitUntil("room", async () => (await loadOf(served)).inFlight === 0);
  assert.equal(await fill("127.0.0.4"), 34);
  for (const client of clients) client.destroy();
});

test("a client that comes back too early waits to be refused again, and for nothing else", async () => {
  await using served = await serve({ limits: { inFlightMax: 1 } });
  const busy = await occupy(served);
  const eager = new RawClient(served.port);
  const get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
  const startedAt = performance.now();
  eager.send(get);
  assert.equal((await eager.answer())?.status, 503);
  eager.send(get);
  const other = new RawClient(served.port);
  other.send(get);
  assert.equal((await other.answer())?.status, 503, "another's first refusal comes at once");
  // What waits to be refused takes no room.
  assert.equal((await loadOf(served)).inFlight, 1);
  assert.equal((await eager.answer())?.status, 503);
  assert.ok(performance.now() - startedAt >= 990, "Retry-After says a second");
  busy.send("2");
  assert.equal((await busy.answer())?.status, 200);
  await waitUntil("room", async () => (await loadOf(served)).inFlight === 0);
  eager.send(get);
  assert.equal((await eager.answer())?.status, 200);
  for (const client of [busy, eager, other]) client.destroy();
});

test("bodies together may hold no more than the bound", async () => {
  await using served = await serve({ limits: { heldBytesMax: 1_000 } });
  const first = new RawClient(served.port);
  first.send("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 600\r\n\r\n");
  await waitUntil("it to count", async () => (await loadOf(served)).heldBytes === 600);
  const put = (size: number): Promise<Response> =>
    fetch(`${served.url}/b`, { method: "PUT", body: "x".repeat(size) });
  assert.equal((await problemOf(await put(401))).code, "overloaded");
  assert.equal((await put(400)).status, 200);
  const chunked = new RawClient(served.port);
  chunked.send("PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (let n = 0; n < 5; n += 1) chunked.send(`64\r\n${"x".repeat(100)}\r\n`);
  assert.equal(codeOf(await chunked.answer()), "overloaded");
  first.send("x".repeat(600));
  assert.equal((await first.answer())?.status, 200);
  await waitUntil("room", async () => (await put(900)).status === 200);
  for (const client of [first, chunked]) client.destroy();
  await waitUntil("all to be let go", async () => (await loadOf(served)).heldBytes === 0);
});

test("connections past the bound are closed, and the others live on", async () => {
  await using served = await serve({ limits: { connectionsMax: 2 } });
  const [first, second] = [new RawClient(served.port), new RawClient(served.port)];
  for (const client of [first, second]) {
    client.send("GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n");
    assert.equal((await client.answer())?.status, 200);
  }
  const third = new RawClient(served.port);
  await third.closed();
  first.send("GET /-/livez HTTP/1.1\r\nHost: x\r\n\r\n");
  assert.equal((await first.answer())?.status, 200);
  first.destroy();
  second.destroy();
});

test("a stop finishes what is under way, and then closes", async () => {
  await using served = await serve({}, {}, await freePort());
  await served.state.put("k", "v");
  const under = new RawClient(served.port);
  under.send("PUT /last HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1");
  const idle = new RawClient(served.port);
  idle.send("GET /k HTTP/1.1\r\nHost: x\r\n\r\n");
  assert.equal((await idle.answer())?.status, 200);
  await waitUntil("it to be under way", async () => (await loadOf(served)).inFlight === 1);
  const closing = served.server.close(10_000);
  await idle.closed();
  under.send("2");
  const answer = await under.answer();
  assert.equal(answer?.status, 200);
  assert.equal(answer.headers["connection"], "close");
  await under.closed();
  await closing;
  await assert.rejects(fetch(`${served.url}/k`));
  assert.equal(Buffer.from((await served.state.get("last"))?.value ?? "").toString(), "12");
});

test("a stop does not wait for a connection on which nothing ever came", async () => {
  await using served = await serve();
  const silent = new RawClient(served.port);
  await once(silent.socket, "connect");
  assert.equal((await fetch(`${served.url}/-/livez`)).status, 200);
  await Promise.all([served.server.close(600_000), silent.closed()]);
});

test("a stop lets a slow reader have the rest of a long answer", async () => {
  await using served = await serve();
  const value = "x".repeat(8_000_000);
  await served.state.put("big", value);
  const slow = new RawClient(served.port);
  await once(slow.socket, "connect");
  slow.socket.pause();
  slow.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
  await waitUntil("it to be held", async () => (await loadOf(served)).heldBytes >= value.length);
  const closing = served.server.close(600_000);
  slow.socket.resume();
  assert.equal((await slow.answer())?.body, JSON.stringify({ value, version: 1 }));
  await slow.closed();
  await closing;
});

test("a stop cuts what is not done by its deadline", async () => {
  await using served = await serve();
  const client = new RawClient(served.port);
  client.send("PUT /never HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1");
  await waitUntil("it to be under way", async () => (await loadOf(served)).inFlight === 1);
  using watch = new Stopwatch();
  await served.server.close(100);
  assert.ok(watch.ms < 5_000, `closed after ${watch.ms} ms`);
  await client.closed();
});

/** A log that keeps its lines. */
function keptLog(): { readonly log: Log; readonly lines: [string, object, string][] } {
  const lines: [string, object, string][] = [];
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push([level, fields, message]);
  return {
    lines,
    log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") },
  };
}

test("a failure reaches its caller without a trace of its cause, and the log with it", async () => {
  const { log, lines } = keptLog();
  const state = await open("memory:");
  const secret = "redis://user:hunter2@10.0.0.7:6379";
  let failure: Error = new TypeError(`broken at ${secret}`);
  const broken = Object.assign(Object.create(state) as typeof state, {
    get: () => Promise.reject(failure),
    put: () => Promise.reject(failure),
  });
  const server = await createServer(broken, { log });
  const call = async (method: "GET" | "PUT"): Promise<Record<string, unknown>> => {
    const { statusCode, body } = await server.fastify.inject({ method, url: "/k", payload: "" });
    assert.ok(!body.includes("hunter2") && !body.includes("at "), body);
    return { statusCode, ...(JSON.parse(body) as Record<string, unknown>) };
  };
  const read = await call("GET");
  assert.deepEqual([read["statusCode"], read["code"], read["applied"]], [500, "internal", "no"]);
  const [level, fields] = lines[0] ?? ["", {}];
  assert.deepEqual([level, "err" in fields && fields.err], ["error", failure]);
  // What failed unforeseen may have failed after the commit.
  const write = await call("PUT");
  assert.deepEqual(
    [write["statusCode"], write["code"], write["applied"]],
    [504, "outcome_unknown", "unknown"],
  );
  failure = new StateError("store_unavailable", "The store does not answer.", { cause: failure });
  const away = await call("PUT");
  assert.deepEqual([away["statusCode"], away["applied"]], [503, "no"]);
  const count = lines.length;
  const start = performance.now();
  for (let n = 0; n < 100; n += 1) await call("PUT");
  const seconds = Math.ceil((performance.now() - start) / 1000);
  assert.ok(lines.length <= count + seconds, "one line a second for each code");
  await server.close(0);
  await state.close();
});

test("one line is logged for each request, where that is wanted", async () => {
  const { log, lines } = keptLog();
  await using served = await serve({ log, logRequests: true });
  await (await fetch(`${served.url}/k?raw`)).text();
  await waitUntil("the line", () => lines.length > 0);
  const [level, fields, message] = lines[0] ?? ["", {}, ""];
  const { ms, ...rest } = fields as { readonly ms: number };
  assert.deepEqual(
    [level, message, rest],
    ["info", "request", { method: "GET", url: "/k?raw", status: 404 }],
  );
  assert.ok(ms > 0 && ms < performance.now());
});

test("readiness follows what it is told, and a stop", async () => {
  let isReady = true;
  await using served = await serve({
    ready: () =>
      Promise.resolve(isReady ? { ready: true } : { ready: false, reason: "The store is away." }),
  });
  const ready = await fetch(`${served.url}/-/readyz`);
  assert.deepEqual(await ready.json(), { status: "ready" });
  const verbose: unknown = await (await fetch(`${served.url}/-/readyz?verbose`)).json();
  const { store } = verbose as { readonly store: { readonly promise: string } };
  assert.equal(store.promise, served.state.store.info.promise);
  isReady = false;
  const away = await fetch(`${served.url}/-/readyz`);
  assert.equal(away.status, 503);
  assert.equal(away.headers.get("retry-after"), "1");
  assert.equal((await problemOf(away)).detail, "The store is away.");
  assert.equal((await fetch(`${served.url}/-/livez`)).status, 200);
});
