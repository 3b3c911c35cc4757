import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { freePort } from "../../test/servers/process.ts";
import { StateError } from "../errors.ts";
import { StateClient } from "./state-client.ts";

type Handler = (request: IncomingMessage, response: ServerResponse, attempt: number) => void;

interface Fake extends AsyncDisposable {
  readonly client: StateClient;
  readonly requests: IncomingMessage[];
}

/** A server that answers as told, for faults that no real one makes to order. */
async function serverThat(handle: Handler, timeoutMs = 60_000): Promise<Fake> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    request.resume();
    request.once("end", () => handle(request, response, requests.length));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = new StateClient({ url: `http://127.0.0.1:${port}`, timeoutMs, attempts: 3 });
  return {
    client,
    requests,
    async [Symbol.asyncDispose]() {
      await client.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

function answerPut(response: ServerResponse, replayed: boolean): void {
  response.writeHead(200, {
    etag: '"abc.1"',
    ...(replayed ? { "idempotency-replayed": "true" } : {}),
  });
  response.end('{"key":"k","version":1,"createdAt":"2026-11-21T10:00:00.000Z","digest":"d"}');
}

function answerProblem(response: ServerResponse, status: number, problem: object): void {
  response.writeHead(status, { "content-type": "application/problem+json", "retry-after": "0" });
  response.end(JSON.stringify({ title: "t", status, ...problem }));
}

async function failureOf(call: Promise<unknown>): Promise<StateError> {
  const error: unknown = await call.then(
    () => assert.fail("the call did not fail"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof StateError, String(error));
  return error;
}

test("a put whose answer was lost is sent again under the same id", async () => {
  await using fake = await serverThat((request, response, attempt) => {
    if (attempt === 1) request.socket.destroy();
    else answerPut(response, true);
  });
  const answer = await fake.client.put("k", "v");
  assert.deepEqual(
    { version: answer.version, incarnation: answer.incarnation, replayed: answer.replayed },
    { version: 1, incarnation: "abc", replayed: true },
  );
  const ids = fake.requests.map((request) => request.headers["idempotency-key"]);
  assert.equal(ids.length, 2);
  assert.match(ids[0] as string, /^"[0-9a-f]{32}"$/);
  assert.equal(ids[0], ids[1]);
});

test("a delete whose answer was lost is not sent again, and says that it may have happened", async () => {
  await using fake = await serverThat((request) => request.socket.destroy());
  const error = await failureOf(fake.client.delete("k"));
  assert.equal(error.code, "outcome_unknown");
  assert.equal(error.applied, "unknown");
  assert.equal(fake.requests.length, 1);
});

test("a delete that was refused as too much is sent again", async () => {
  await using fake = await serverThat((_request, response, attempt) => {
    if (attempt < 3) answerProblem(response, 503, { code: "overloaded", applied: "no" });
    else response.end('{"versions":2}');
  });
  assert.deepEqual(await fake.client.delete("k"), { versions: 2 });
});

test("a delete that met the end of an idle connection is sent again", async () => {
  await using fake = await serverThat((_request, response, attempt) => {
    if (attempt === 1) answerProblem(response, 408, { code: "request_timeout", applied: "no" });
    else response.end('{"versions":2}');
  });
  assert.deepEqual(await fake.client.delete("k"), { versions: 2 });
});

test("attempts are bounded, and one that may have been applied is never forgotten", async () => {
  await using fake = await serverThat((request, response, attempt) => {
    if (attempt === 1) request.socket.destroy();
    else answerProblem(response, 503, { code: "store_unavailable", applied: "no" });
  });
  const error = await failureOf(fake.client.put("k", "v"));
  assert.equal(fake.requests.length, 3);
  assert.equal(error.code, "outcome_unknown");
  assert.equal(error.applied, "unknown");
});

test("a put whose answer was lost may have happened, also where the store has turned read-only since", async () => {
  await using fake = await serverThat((request, response, attempt) => {
    if (attempt === 1) request.socket.destroy();
    else answerProblem(response, 503, { code: "store_read_only", applied: "no" });
  });
  const error = await failureOf(fake.client.put("k", "v"));
  assert.deepEqual([error.code, error.applied], ["outcome_unknown", "unknown"]);
  assert.equal(fake.requests.length, 2);
});

test("a restore of a prefix whose answer was lost is not sent again: it would undo what came since", async () => {
  await using fake = await serverThat((request) => request.socket.destroy());
  const error = await failureOf(fake.client.restorePrefix({ prefix: "", at: 0 }));
  assert.equal(error.code, "outcome_unknown");
  assert.equal(fake.requests.length, 1);
});

test("an answer that is final is thrown at once, with its details", async () => {
  await using fake = await serverThat((_request, response) => {
    const detail = "The latest version is 4.";
    answerProblem(response, 412, { code: "condition_failed", applied: "no", detail, current: 4 });
  });
  const error = await failureOf(fake.client.put("k", "v", { cas: 3 }));
  assert.equal(error.code, "condition_failed");
  assert.equal(error.message, "The latest version is 4.");
  assert.equal(error.details["current"], 4);
  assert.equal(fake.requests.length, 1);
  assert.equal(fake.requests[0]?.url, "/k?cas=3");
});

test("what a proxy answers in the server's stead leaves a write's outcome open", async () => {
  await using fake = await serverThat((_request, response) => {
    response.writeHead(502).end("<html>Bad Gateway</html>");
  });
  assert.equal((await failureOf(fake.client.put("k", "v"))).applied, "unknown");
  const error = await failureOf(fake.client.get("k"));
  assert.equal(error.code, "store_unavailable");
  assert.equal(error.applied, "no");
});

test("a watch goes on after what a proxy answers in the server's stead", async () => {
  await using fake = await serverThat((_request, response, attempt) => {
    if (attempt < 3) response.writeHead(attempt === 1 ? 502 : 504).end("<html>Bad Gateway</html>");
    else response.end("id: 1\nevent: caught-up\ndata: {}\n\n");
  });
  const first = await fake.client.watch("k")[Symbol.asyncIterator]().next();
  assert.deepEqual(first, { done: false, value: { type: "caught-up", id: "1" } });
});

test("a server that never answers is given up at the deadline", async () => {
  await using fake = await serverThat(() => {}, 1_500);
  const error = await failureOf(fake.client.put("k", "v"));
  assert.equal(error.code, "outcome_unknown");
  assert.match(error.message, /did not answer in time/);
  // None where this process stood still for as long before it could send.
  assert.ok(fake.requests.length <= 1);
});

test("a server that is not there is named as such, and nothing was written", async () => {
  const fake = await serverThat(() => {});
  const { client } = fake;
  await fake[Symbol.asyncDispose]();
  const closed = await failureOf(client.put("k", "v"));
  assert.equal(closed.applied, "no");
  const url = `http://127.0.0.1:${await freePort()}`;
  const error = await failureOf(new StateClient({ url, attempts: 2 }).put("k", "v"));
  assert.equal(error.code, "store_unavailable");
  assert.equal(error.applied, "no");
});

test("a foreign answer is an error and no entry", async () => {
  await using fake = await serverThat((_request, response) => response.end("hello"));
  assert.equal((await failureOf(fake.client.get("k"))).code, "internal");
  assert.equal((await failureOf(fake.client.keys())).code, "internal");
});

test("input that is not legal never leaves the client", async () => {
  await using fake = await serverThat((_request, response) => response.end());
  const { client } = fake;
  assert.equal((await failureOf(client.put("", "v"))).code, "invalid_key");
  assert.equal((await failureOf(client.getVersion("k", 1.5))).code, "invalid_parameter");
  assert.equal((await failureOf(client.get("k", { at: Number.NaN }))).code, "invalid_parameter");
  assert.equal(fake.requests.length, 0);
  assert.throws(() => new StateClient("ftp://example.org"), /http or https/);
});
