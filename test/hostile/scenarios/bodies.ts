import { once } from "node:events";

import { forEachParallel } from "../../../bench/loads/wire.ts";
import { VALUE_BYTES_DEFAULT } from "../../../src/limits.ts";
import { Connection, type Tally } from "../connection.ts";
import { GARBAGE, GARBAGE_MIB, MIB, type Scenario } from "../scenario.ts";

const LONGER = 30_000;
const LONGER_AT_A_TIME = 100;

const longerThanDeclared: Scenario = {
  name: "bodies longer than they say",
  sent: "30,000 PUTs of 2 bytes with a GET behind them, 30,000 with rubbish behind them, 100 at a time",
  expected: ["200", "400", "closed"],
  growth: {
    mebibytes: GARBAGE_MIB + (2 * LONGER) / 1_024,
    why: `1 KiB for each of the ${(2 * LONGER).toLocaleString("en")} versions that it keeps, and ${GARBAGE}`,
  },
  async run({ port, url, tally }) {
    let few = 0;
    await forEachParallel(2 * LONGER, LONGER_AT_A_TIME, async (index) => {
      const isGet = index % 2 === 0;
      const connection = await Connection.open(port);
      connection.onAnswer = (answer) => tally.addAnswer(answer);
      const closed = once(connection.socket, "close");
      const rest = isGet
        ? "GET /more HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        : "XX\0\r\n\r\n";
      connection.send(`PUT /more HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi${rest}`);
      await closed;
      if (connection.answers < (isGet ? 2 : 1)) few += 1;
    });
    const answer = await fetch(`${url}/more`);
    const { value, version } = (await answer.json()) as {
      readonly value: string;
      readonly version: number;
    };
    const failures: string[] = [];
    if (value !== "hi" || version !== 2 * LONGER)
      failures.push(`it holds ${value}, version ${version}`);
    if (few > 0) failures.push(`${few} connections got too few answers`);
    return { failures };
  },
};

const HUGE_BYTES = 1_024 * MIB;
const EACH = 8;
const TIMES = 4;
const CHUNK_BYTES = 64 * 1_024;

const hugeBodies: Scenario = {
  name: "streams of 1 GiB",
  sent: "8 PUTs of 1 GiB with a Content-Length and 8 chunked, as fast as the server takes them, 4 times",
  expected: ["413"],
  growth: {
    mebibytes: 2 * EACH * (VALUE_BYTES_DEFAULT / MIB) + GARBAGE_MIB,
    why: `twice the largest value (8 MiB) for each of the ${EACH} whose length is not told, and ${GARBAGE}`,
  },
  async run({ port, tally }) {
    const headers = [`Content-Length: ${HUGE_BYTES}`, "Transfer-Encoding: chunked"];
    const taken: Taken[] = [];
    for (let time = 0; time < TIMES; time += 1) {
      const streams = Array.from({ length: 2 * EACH }, (_, index) =>
        stream(port, headers[index % 2] ?? "", tally),
      );
      taken.push(...(await Promise.all(streams)));
    }
    const most = Math.max(...taken.map(({ answerMs }) => answerMs));
    const bytes = taken.reduce((sum, each) => sum + each.bytes, 0);
    return {
      notes: [
        `${Math.round(bytes / MIB / taken.length)} MiB of each were taken`,
        `answered within ${Math.round(most)} ms`,
      ],
    };
  },
};

/** How much the server took of a stream, and when it answered. */
interface Taken {
  readonly bytes: number;
  readonly answerMs: number;
}

/** Sends until the server closes. */
async function stream(port: number, header: string, tally: Tally): Promise<Taken> {
  const connection = await Connection.open(port);
  const startedAt = performance.now();
  let answerMs = Infinity;
  connection.onAnswer = (answer) => {
    tally.addAnswer(answer);
    answerMs = performance.now() - startedAt;
  };
  connection.send(`PUT /huge HTTP/1.1\r\nHost: x\r\n${header}\r\n\r\n`);
  const bytes = Buffer.alloc(CHUNK_BYTES, "x");
  const isChunked = header.startsWith("Transfer");
  const piece = isChunked
    ? Buffer.concat([Buffer.from(`${CHUNK_BYTES.toString(16)}\r\n`), bytes, Buffer.from("\r\n")])
    : bytes;
  const { socket } = connection;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  socket.on("close", end);
  const write = (): void => {
    while (socket.writable && socket.bytesWritten < HUGE_BYTES) if (!socket.write(piece)) return;
    end();
  };
  socket.on("drain", write);
  write();
  await ended;
  connection.destroy();
  return { bytes: socket.bytesWritten, answerMs };
}

export const BODIES = [longerThanDeclared, hugeBodies];
