import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { MALFORMED } from "../hostile/malformed.ts";
import { exchangeRaw, RawClient, serve, type RawAnswer, type Served } from "./serve.ts";

let served: Served;
before(async () => {
  served = await serve({ maxValueBytes: 100_000 });
});
after(() => served[Symbol.asyncDispose]());

async function send(text: string | Uint8Array): Promise<RawAnswer> {
  return exchangeRaw(served.port, text);
}

function codeOf(answer: RawAnswer | undefined): string {
  assert.equal(answer?.headers["content-type"], "application/problem+json", answer?.body);
  return (JSON.parse(answer.body) as { code: string }).code;
}

test("a body may come chunked, with trailers, in pieces, or not at all", async () => {
  const head = "Host: x\r\nConnection: close\r\n";
  const cases: readonly (readonly [string, string, string])[] = [
    ["chunked", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!"],
    ["trailers", "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\nT: z\r\n\r\n", "hi"],
    ["empty-chunked", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""],
    ["length", "Content-Length: 5\r\n\r\nhello", "hello"],
    ["zero", "Content-Length: 0\r\n\r\n", ""],
    ["none", "\r\n", ""],
    ["type-only", "Content-Type: text\r\n\r\n", ""],
  ];
  for (const [key, rest, value] of cases) {
    const answer = await send(`PUT /${key} HTTP/1.1\r\n${head}${rest}`);
    assert.equal(answer.status, 200, key);
    assert.equal(Buffer.from((await served.state.get(key))?.value ?? "?").toString(), value, key);
  }
});

test("a body in single bytes is put together", async () => {
  const client = new RawClient(served.port);
  client.socket.setNoDelay(true);
  for (const byte of "PUT /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc") {
    client.send(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await client.answer())?.status, 200);
  assert.equal(Buffer.from((await served.state.get("slow"))?.value ?? "").toString(), "abc");
  client.destroy();
});

test("requests in one packet are answered in their order", async () => {
  const client = new RawClient(served.port);
  const put = (value: string): string =>
    `PUT /pipe HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n${value}`;
  client.send(
    `${put("a")}${put("b")}GET /pipe/1 HTTP/1.1\r\nHost: x\r\n\r\nHEAD /pipe HTTP/1.0\r\n\r\n`,
  );
  const versions: unknown[] = [];
  for (let n = 0; n < 2; n += 1) {
    const answer = await client.answer();
    versions.push((JSON.parse(answer?.body ?? "") as { version: number }).version);
  }
  assert.deepEqual(versions, [1, 2]);
  assert.equal((await client.answer())?.status, 200);
  assert.match(await client.closed(), /^HTTP\/1\.1 200 OK\r\n/);
});

test("a request sent behind a PUT sees what it wrote", async () => {
  const client = new RawClient(served.port);
  for (let n = 1; n <= 20; n += 1) {
    client.send(
      `PUT /behind-${n} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi` +
        `GET /behind-${n} HTTP/1.1\r\nHost: x\r\n\r\n`,
    );
    assert.equal((await client.answer())?.status, 200);
    assert.equal((await client.answer())?.body, '{"value":"hi","version":1}', `round ${n}`);
  }
  client.destroy();
});

test("a client that asks first is told to go on, or refused before it sends its body", async () => {
  const client = new RawClient(served.port);
  client.send("PUT /ask HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  assert.equal((await client.answer())?.status, 100);
  client.send("hi");
  assert.equal((await client.answer())?.status, 200);
  client.send(
    "PUT /ask HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100001\r\n\r\n",
  );
  const refused = await client.answer();
  assert.equal(refused?.status, 413);
  assert.equal(refused.headers["connection"], "close");
  client.socket.end();
  await client.closed();
  for (const query of ["?cas=9", "?unknown=1"]) {
    const early = new RawClient(served.port);
    early.send(
      `PUT /ask${query} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`,
    );
    const answer = await early.answer();
    assert.equal(answer?.status, query === "?cas=9" ? 100 : 400);
    early.destroy();
  }
  const other = await send(
    "PUT /ask HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 0\r\n\r\n",
  );
  assert.equal(other.status, 417);
});

test("a body over the limit is refused before it is read, and the answer arrives", async () => {
  const declared = new RawClient(served.port);
  declared.send("PUT /big HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n");
  const answer = await declared.answer();
  assert.equal(answer?.status, 413);
  assert.equal((JSON.parse(answer.body) as { limit: number }).limit, 100_000);
  // It is read on for a while, so that a client which sends first does not lose the answer.
  declared.send(Buffer.alloc(200_000));
  await declared.closed();

  const chunked = new RawClient(served.port);
  chunked.send("PUT /big HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (let n = 0; n < 5; n += 1) chunked.send(`61a8\r\n${"x".repeat(25_000)}\r\n`);
  assert.equal(codeOf(await chunked.answer()), "value_too_large");
  chunked.send("0\r\n\r\n");
  await chunked.closed();
  assert.equal(await served.state.get("big"), undefined);
});

test("a body that ends early writes nothing", async () => {
  const client = new RawClient(served.port);
  client.send("PUT /cut HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf");
  client.socket.end();
  await client.closed();
  const chunked = new RawClient(served.port);
  chunked.send("PUT /cut HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
  chunked.socket.end();
  await chunked.closed();
  assert.equal(await served.state.get("cut"), undefined);
});

test("what follows a body of the declared length is the next request, not its rest", async () => {
  const client = new RawClient(served.port);
  client.send("PUT /more HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhiXX");
  assert.equal((await client.answer())?.status, 200);
  await client.closed();
  assert.equal(Buffer.from((await served.state.get("more"))?.value ?? "").toString(), "hi");
});

test("shapes that proxies and servers might read differently are refused", async () => {
  for (const text of MALFORMED) {
    const answer = await send(Buffer.from(text, "latin1"));
    assert.equal(answer.status, 400, JSON.stringify(text));
    assert.match(codeOf(answer), /^invalid_(request|key)$/, JSON.stringify(text));
  }
  assert.equal(await served.state.get("smuggled"), undefined);
});

test("bytes that are not ASCII in a path are refused, and the answer says how to send them", async () => {
  for (const path of ["/é", "/\xff", "/a?message=é"]) {
    const answer = await send(Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`));
    assert.equal(answer.status, 400, path);
    assert.equal(codeOf(answer), "invalid_request");
    assert.match(answer.body, /percent-encoded/);
  }
});

test("odd request targets reach the route they mean, or none", async () => {
  await served.state.put("odd", "v");
  const cases: readonly (readonly [string, number])[] = [
    ["GET http://example.org/odd", 200],
    ["GET http://example.org", 200],
    ["GET HTTP://EXAMPLE.ORG/odd/1", 200],
    ["GET /odd?", 200],
    ["GET /odd#x", 400],
    ["GET /odd/1#x", 400],
    ["GET //odd", 404],
    ["GET //1", 400],
    ["GET //", 404],
    ["GET /./odd", 404],
    ["GET /./1", 400],
    ["GET /odd/../odd", 404],
    ["GET /odd/%2e%2e", 404],
    ["GET /%2E%2E", 400],
    ["GET /odd/%31", 200],
    ["GET /-%2Fkeys", 404],
    ["GET /%2D/keys", 200],
    ["GET /%", 400],
    ["GET /odd/%", 400],
    ["GET /-/keys/%", 400],
    ["GET /odd?raw=%", 400],
    ["OPTIONS *", 404],
  ];
  for (const [line, status] of cases) {
    const answer = await send(`${line} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.equal(answer.status, status, `${line} ${answer.body}`);
    if (status >= 400) codeOf(answer);
  }
});

test("a request line or headers that are too long are told apart", async () => {
  const line = await send(`GET /${"x".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
  assert.equal(line.status, 414);
  assert.equal(codeOf(line), "uri_too_long");
  const header = await send(`GET /a HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(20_000)}\r\n\r\n`);
  assert.equal(header.status, 431);
  assert.equal(codeOf(header), "headers_too_large");
  const many = await send(`GET /a HTTP/1.1\r\nHost: x\r\n${"X: y\r\n".repeat(5_000)}\r\n`);
  assert.equal(many.status, 431);
  const endless = new RawClient(served.port);
  endless.send("G".repeat(70_000));
  assert.equal((await endless.answer())?.status, 400);
  endless.destroy();
});

test("rubbish after a request does not take the place of its answer", async () => {
  const client = new RawClient(served.port);
  client.send("PUT /first HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi\0\0rubbish\r\n\r\n");
  const answer = await client.answer();
  assert.equal(answer?.status, 200, answer?.body);
  await client.closed();
  assert.equal(Buffer.from((await served.state.get("first"))?.value ?? "").toString(), "hi");
});

test("HTTP/1.0 needs no Host and gets no chunks", async () => {
  await served.state.put("old", "v");
  const answer = await send("GET /old HTTP/1.0\r\n\r\n");
  assert.equal(answer.status, 200);
  assert.equal(answer.body, '{"value":"v","version":1}');
  assert.equal(answer.headers["connection"], "close");
});

test("nothing is done of a request that is then refused for its body", async () => {
  const { state } = served;
  await state.put("acted-upon", "1");
  await state.put("acted-upon", "2");
  const since = encodeURIComponent(new Date(0).toISOString());
  for (const start of [
    "DELETE /acted-upon",
    "POST /acted-upon/restore?version=1",
    `POST /-/restore?prefix=acted&at=${since}`,
  ]) {
    const answer = await send(
      `${start} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n`,
    );
    assert.equal(answer.status, 400);
    assert.equal((await state.head("acted-upon"))?.version, 2, start);
  }
});

test("a client of HTTP/1.0 is not told to continue, which it would take for the answer", async () => {
  const answer = await send(
    "PUT /continue HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
  );
  assert.equal(answer.status, 200);
});
