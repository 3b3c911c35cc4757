import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import { mostInATurn } from "../most-in-a-turn.ts";
import { waitUntil } from "../servers/process.ts";
import { RawClient, serve, type Served } from "./serve.ts";

const CROWD = 300;
const GET = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

/** Those that are read again in a turn, and the few after which it is over. */
const IN_A_TURN_MAX = 40;

/** Connects many clients of one address; whatever the server hears of a connection costs it a millisecond. */
async function connectCrowd(
  served: Served,
  onHeard: () => void = () => {},
): Promise<readonly RawClient[]> {
  const { server } = served.server.fastify;
  const hear = (): void => {
    const end = performance.now() + 1;
    while (performance.now() < end);
    onHeard();
  };
  let accepted = 0;
  server.on("connection", (socket) => {
    accepted += 1;
    socket.prependListener("end", hear);
  });
  server.prependListener("request", hear);
  const crowd = Array.from({ length: CROWD }, () => new RawClient(served.port));
  await waitUntil("all to be connected", () => accepted === CROWD);
  return crowd;
}

/** Connects a client of another address. */
async function connectOther({ port, server }: Served): Promise<RawClient> {
  const connected = once(server.fastify.server, "connection");
  const other = new RawClient(port, "127.0.0.2");
  await connected;
  return other;
}

test("of a crowd that asks at once, few are read in a turn", async () => {
  await using served = await serve();
  let heard = 0;
  const crowd = await connectCrowd(served, () => (heard += 1));
  await connectOther(served);
  for (const client of crowd) client.send(GET);
  const most = await mostInATurn(() => heard, CROWD);
  assert.ok(most < IN_A_TURN_MAX, `${most} requests came in one turn`);
  const answers = await Promise.all(crowd.map((client) => client.answer()));
  assert.deepEqual(new Set(answers.map((answer) => answer?.status)), new Set([404]));
});

test("of the only crowd there is, few are read in a turn while further connections come", async () => {
  await using served = await serve();
  let heard = 0;
  const crowd = await connectCrowd(served, () => (heard += 1));
  const coming = Array.from({ length: 100 }, () => new RawClient(served.port));
  await once(served.server.fastify.server, "connection");
  for (const client of crowd) client.send(GET);
  const most = await mostInATurn(() => heard, CROWD);
  assert.ok(most < IN_A_TURN_MAX, `${most} requests came in one turn`);
  for (const client of coming) client.destroy();
});

test("of a crowd that leaves at once, few are read in a turn", async () => {
  await using served = await serve();
  let heard = 0;
  const crowd = await connectCrowd(served, () => (heard += 1));
  await connectOther(served);
  for (const client of crowd) client.destroy();
  const most = await mostInATurn(() => heard, CROWD);
  assert.ok(most < IN_A_TURN_MAX, `${most} connections ended in one turn`);
});

test("each of a crowd is served as often as the others, and another client in between", async () => {
  await using served = await serve();
  const crowd = await connectCrowd(served);
  const other = await connectOther(served);
  const counts = crowd.map(() => 0);
  let isOver = false;
  const asking = crowd.map(async (client, index) => {
    while (!isOver) {
      client.send(GET);
      assert.equal((await client.answer())?.status, 404);
      counts[index] = (counts[index] ?? 0) + 1;
    }
  });
  while (counts.reduce((sum, count) => sum + count) < 10 * CROWD) {
    other.send(GET);
    assert.equal((await other.answer())?.status, 404);
  }
  isOver = true;
  await Promise.all(asking);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  assert.ok(most < 1.5 * least, `${least} to ${most} of each were served`);
});

test("bodies of a crowd that is read in turns arrive whole", async () => {
  await using served = await serve();
  const crowd = await connectCrowd(served);
  await connectOther(served);
  const body = "x".repeat(300_000);
  for (const [index, client] of crowd.entries()) {
    client.send(
      `PUT /${index} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  }
  const answers = await Promise.all(crowd.map((client) => client.answer()));
  assert.deepEqual(new Set(answers.map((answer) => answer?.status)), new Set([200]));
  for (const index of crowd.keys()) {
    const { value } = (await served.state.get(`${index}`)) ?? {};
    assert.equal(Buffer.from(value ?? []).toString(), body);
  }
});
