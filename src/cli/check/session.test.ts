import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Session } from "./session.ts";

test("a key is removed after the writes under way, also where a signal ended the check", async (t) => {
  const methods: string[] = [];
  const puts: ServerResponse[] = [];
  const server = createServer((request, response) => {
    methods.push(request.method ?? "");
    request.resume();
    if (request.method === "PUT") puts.push(response);
    else response.end("{}");
    server.emit("taken");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const stop = new AbortController();
  const session = new Session({
    base: new URL(`http://127.0.0.1:${port}/`),
    keyPrefix: "k",
    timeoutMs: 60_000,
    signal: stop.signal,
  });

  const put = session.put(session.newKey(), "value");
  let isSettled = false;
  const settle = (): void => void (isSettled = true);
  put.then(settle, settle);
  await once(server, "taken");
  stop.abort();
  const removed = session.removeKeys();
  await turn();
  assert.equal(isSettled, false, "the server still has it");
  puts[0]?.end('{"version":1}');
  await removed;
  assert.equal(await put, 1);
  assert.deepEqual(methods, ["PUT", "DELETE"]);
  await assert.rejects(session.put(session.newKey(), "value"), { name: "AbortError" });
});
