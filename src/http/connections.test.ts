import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { test } from "node:test";

import { connectionsOf } from "./connections.ts";

test("a connection is there while it is open, and holds nothing once it is closed", async () => {
  const server = createServer((_request, response) => response.end());
  const connections = connectionsOf(server);
  let closed = 0;
  server.on("connection", (socket) => socket.on("close", () => (closed += 1)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const { port } = server.address() as AddressInfo;
  const client = connect(port, "127.0.0.1");
  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await once(client, "data");
  const [socket] = connections;
  assert.ok(socket !== undefined);

  client.destroy();
  await once(socket, "close");
  assert.equal(connections.size, 0);
  assert.equal(closed, 1, "who listened after it was told too");
  assert.deepEqual(socket.eventNames(), ["error"]);
  socket.emit("error", new Error("nobody need hear of it"));
  server.close();
});
