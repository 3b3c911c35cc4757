import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { waitUntil } from "../servers/process.ts";
import { EventClient } from "./event-client.ts";
import { problemOf, RawClient, serve, type Served } from "./serve.ts";

let served: Served;
before(async () => {
  served = await serve();
});
after(() => served[Symbol.asyncDispose]());

test("a watch sends the history it is asked for, then says so, then follows", async () => {
  await served.state.put("w", "one", { author: "Ann", message: "first" });
  await served.state.put("w", "two");
  const { incarnation } = await served.state.put("w", "three");
  await using client = await EventClient.open(`${served.url}/w/watch?after=0`);
  assert.equal(client.response.headers.get("content-type"), "text/event-stream");
  assert.equal(client.response.headers.get("cache-control"), "no-store");
  const first = await client.next();
  assert.equal(first.event, "put");
  assert.equal(first.data["key"], "w");
  assert.equal(first.data["version"], 1);
  assert.equal(first.data["size"], 3);
  assert.equal(first.data["author"], "Ann");
  assert.equal(first.data["message"], "first");
  assert.equal(first.data["etag"], `"${incarnation}.1"`);
  assert.equal(first.data["value"], undefined);
  assert.match(String(first.data["createdAt"]), /^\d{4}-.*\.\d{3}Z$/);
  assert.equal((await client.next()).data["version"], 2);
  assert.equal((await client.next()).data["version"], 3);
  assert.equal((await client.next()).event, "caught-up");
  assert.equal(client.retryMs, 2_000);
  await served.state.put("w", "four");
  assert.equal((await client.next()).data["version"], 4);
  await served.state.delete("w");
  const gone = await client.next();
  assert.equal(gone.event, "delete");
  assert.equal(gone.data["deleted"], true);
  await served.state.put("w", "again");
  assert.equal((await client.next()).data["version"], 1);
});

test("a watch without after starts with what comes next, and values come on request", async () => {
  await served.state.put("v", "old");
  await using client = await EventClient.open(`${served.url}/v/watch?values=true`);
  assert.equal((await client.next()).event, "caught-up");
  await served.state.put("v", "line\nbreak\r\n");
  const text = await client.next();
  assert.equal(text.data["value"], "line\nbreak\r\n");
  await served.state.put("v", Uint8Array.of(0xff));
  const bytes = await client.next();
  assert.deepEqual([bytes.data["value"], bytes.data["encoding"]], ["/w==", "base64"]);
});

test("a watch resumes after the event it saw last", async () => {
  await using first = await EventClient.open(`${served.url}/r/watch?after=0`);
  await served.state.put("r", "one");
  const seen = await first.until("put");
  await served.state.put("r", "two");
  await served.state.put("r", "three");
  await using second = await EventClient.open(`${served.url}/r/watch?after=0`, seen.id);
  assert.equal((await second.until("put")).data["version"], 2);
  assert.equal((await second.until("put")).data["version"], 3);
});

test("a prefix is followed, and resumed without missing or repeating", async () => {
  await using first = await EventClient.open(`${served.url}/-/watch?prefix=app%2F`);
  await first.until("caught-up");
  await served.state.put("app/a", "1");
  await served.state.put("other", "1");
  await served.state.put("app/b", "1");
  assert.equal((await first.next()).data["key"], "app/a");
  const seen = await first.next();
  assert.equal(seen.data["key"], "app/b");
  await served.state.put("app/c", "1");
  await served.state.delete("app/a");
  await using second = await EventClient.open(`${served.url}/-/watch?prefix=app%2F`, seen.id);
  assert.equal((await second.next()).data["key"], "app/c");
  assert.equal((await second.next()).event, "delete");
  assert.equal((await second.next()).event, "caught-up");
});

test("what can't be watched is answered before the stream begins", async () => {
  const cases: readonly (readonly [string, string])[] = [
    ["/w/watch?after=x", "after"],
    ["/w/watch?prefix=a", "prefix"],
    ["/-/watch?after=1", "after"],
  ];
  for (const [path, parameter] of cases) {
    const problem = await problemOf(await fetch(served.url + path));
    assert.equal(problem.status, 400);
    assert.equal(problem.parameter, parameter);
  }
  const bad = await fetch(`${served.url}/-/watch`, { headers: { "Last-Event-ID": "?" } });
  assert.equal((await problemOf(bad)).status, 400);
  const head = await fetch(`${served.url}/w/watch`, { method: "HEAD" });
  assert.equal(head.headers.get("content-type"), "text/event-stream");
});

test("an idle watch gets comments, and a client that leaves is forgotten", async () => {
  await using own = await serve({ limits: { heartbeatMs: 20 } });
  const client = new RawClient(own.port);
  client.send("GET /k/watch HTTP/1.1\r\nHost: x\r\n\r\n");
  await waitUntil("two heartbeats", () => client.received.split(": \n\n").length > 2);
  const metrics = await (await fetch(`${own.url}/-/metrics`)).text();
  assert.match(metrics, /^vss_http_watchers 1$/m);
  // Neither a watch nor who asks for this is a request under way.
  assert.match(metrics, /^vss_http_in_flight 0$/m);
  client.destroy();
  await waitUntil("the watch to be gone", async () =>
    /^vss_http_watchers 0$/m.test(await (await fetch(`${own.url}/-/metrics`)).text()),
  );
  await waitUntil("the state to let go of it", () => own.state.stats.watchers === 0);
});

test("a reader that reads nothing is cut off, and holds up nobody", async () => {
  await using own = await serve({ limits: { heartbeatMs: 50 } });
  const slow = new RawClient(own.port);
  await once(slow.socket, "connect");
  slow.socket.pause();
  slow.send("GET /-/watch?values=true HTTP/1.1\r\nHost: x\r\n\r\n");
  await using quick = await EventClient.open(`${own.url}/-/watch`);
  await quick.until("caught-up");
  await waitUntil("both to watch", () => own.state.stats.watchers === 2);
  const value = "x".repeat(1_000_000);
  for (let n = 1; n <= 30; n += 1) {
    await own.state.put(`k${n}`, value);
    assert.equal((await quick.until("put")).data["key"], `k${n}`);
  }
  await waitUntil("the slow one to be cut off", async () =>
    /^vss_http_watchers 1$/m.test(await (await fetch(`${own.url}/-/metrics`)).text()),
  );
  slow.socket.resume();
  await slow.closed();
});

test("a reader that is slower than two heartbeats with one large event gets it whole", async () => {
  // The kernel takes more a megabyte or two at a time, which this reader needs 0.3 s for.
  await using own = await serve({ limits: { heartbeatMs: 1000 } });
  const slow = new RawClient(own.port);
  await once(slow.socket, "connect");
  slow.socket.pause();
  slow.send("GET /k/watch?values=true HTTP/1.1\r\nHost: x\r\n\r\n");
  await waitUntil("the watch", () => own.state.stats.watchers === 1);
  // JSON makes six characters of each: more than sockets hold, and some six seconds of reading.
  await own.state.put("k", "\u0001".repeat(6_000_000));
  let received = 0;
  let end = "";
  while (!end.includes('"}\n\n') && !slow.socket.readableEnded) {
    const piece: unknown = slow.socket.read(64 * 1024) ?? slow.socket.read();
    if (Buffer.isBuffer(piece)) {
      received += piece.length;
      end = (end + piece.toString("latin1")).slice(-1000);
    }
    await sleep(4);
  }
  assert.ok(received > 36_000_000, `${received} bytes`);
  assert.match(end, /\\u0001"\}\n\n/);
  slow.destroy();
});

test("watches past the bound are refused", async () => {
  await using own = await serve({ limits: { watchersMax: 1 } });
  await using client = await EventClient.open(`${own.url}/k/watch`);
  const refused = await fetch(`${own.url}/k/watch`);
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.equal((await problemOf(refused)).code, "overloaded");
  assert.equal((await client.next()).event, "caught-up");
});

test("a stop ends watches, which know when to come back", async () => {
  const own = await serve();
  await using client = await EventClient.open(`${own.url}/k/watch`);
  await client.until("caught-up");
  const closing = own.server.close(5_000);
  await client.ended();
  assert.equal(client.retryMs, 2_000);
  await closing;
  await own[Symbol.asyncDispose]();
});

test("a watch that comes during a stop is told to come back, and does not hold it up", async () => {
  await using own = await serve();
  const accepted = once(own.server.fastify.server, "connection");
  const client = new RawClient(own.port);
  await accepted;
  const closing = own.server.close(60_000);
  client.send("GET /k/watch HTTP/1.1\r\nHost: x\r\n\r\n");
  const answer = await client.answer();
  assert.deepEqual([answer?.status, answer?.headers["retry-after"]], [503, "1"]);
  assert.match(answer?.body ?? "", /"code":"shutting_down"/);
  await closing;
});
