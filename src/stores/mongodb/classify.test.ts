import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { MongoServerError } from "mongodb";
import { isRefusal, isTransient } from "./classify.ts";

test("a command on a connection that the server has just ended may be tried again", async (t) => {
  const server = createServer((socket) => socket.end());
  t.after(() => server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.resume();
  await once(socket, "end");
  // With the default of `allowHalfOpen` the end of one side is the end of both.
  const [error] = await new Promise<unknown[]>((resolve) => {
    socket.on("error", () => {});
    socket.write("a command", (...failure) => resolve(failure));
  });
  assert.ok(error instanceof Error);
  assert.ok(isTransient(error), `${error.message} ${JSON.stringify(error)}`);
});

test("only what MongoDB refuses before it does any of it is certain not to be written", () => {
  const failedWith = (code: number): MongoServerError => new MongoServerError({ code, ok: 0 });
  assert.ok(isRefusal(failedWith(13)), "Unauthorized");
  assert.ok(isRefusal(failedWith(10_334)), "BSONObjectTooLarge");
  // Of an unordered insert the documents before are in place.
  assert.ok(!isRefusal(failedWith(11_601)), "Interrupted");
  assert.ok(isTransient(failedWith(11_601)), "and sent again, it takes its own places");
  assert.ok(!isRefusal(failedWith(8)), "UnknownError");
  assert.ok(!isRefusal(new Error("of this side")));
});
