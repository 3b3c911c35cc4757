import { setTimeout as sleep } from "node:timers/promises";

import { HTTP_LIMITS_DEFAULT } from "../../../src/http/options.ts";
import { closedLoop, destroyAll, getText, openMany, type Connection } from "../connection.ts";
import { GARBAGE, GARBAGE_MIB, type Found, type Scenario, type Target } from "../scenario.ts";

const CONNECTIONS = 1_000;
const KIB_EACH = 32;

const { headersTimeoutMs, requestTimeoutMs, connectionsCheckMs } = HTTP_LIMITS_DEFAULT;

/** Later than this, a slow connection should have been answered and closed. */
const MARGIN_MS = 3_000;

interface Slow {
  readonly start: string;
  readonly everyMs: number;
  /** From the start to the latest moment of the answer. */
  readonly withinMs: number;
}

/** Sends the start at once, and then a byte from time to time, for as long as the server takes it. */
async function sendSlowly({ port, tally }: Target, slow: Slow): Promise<Found> {
  const startedAt = performance.now();
  const connections = await openMany(port, CONNECTIONS, tally);
  for (const connection of connections) connection.send(slow.start);
  const isOpen = (connection: Connection): boolean =>
    !connection.isClosed && connection.answers === 0;
  while (connections.some(isOpen) && performance.now() - startedAt < slow.withinMs + MARGIN_MS) {
    await sleep(slow.everyMs);
    for (const connection of connections) if (isOpen(connection)) connection.send("x");
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  tally.add("still open", connections.filter(isOpen).length);
  tally.add(
    "closed",
    connections.filter(({ answers, isClosed }) => isClosed && answers === 0).length,
  );
  destroyAll(connections);
  return { notes: [`the last was answered after ${seconds.toFixed(1)} s`] };
}

const growth = {
  mebibytes: (CONNECTIONS * KIB_EACH) / 1_024 + 64,
  why: `${KIB_EACH} KiB a connection, and 64 MiB of garbage`,
};

const slowHeaders: Scenario = {
  name: "slow headers",
  sent: "1,000 connections, each sending a byte of a header every 200 ms",
  expected: ["408"],
  growth,
  run: (target) =>
    sendSlowly(target, {
      start: "GET /a HTTP/1.1\r\nHost: x\r\nX-Slow: ",
      everyMs: 200,
      withinMs: headersTimeoutMs + connectionsCheckMs,
    }),
};

const slowBodies: Scenario = {
  name: "slow bodies",
  sent: "1,000 PUTs of 100,000 bytes, each sending a byte every 500 ms",
  expected: ["408"],
  growth,
  run: (target) =>
    sendSlowly(target, {
      start: "PUT /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
      everyMs: 500,
      withinMs: requestTimeoutMs + connectionsCheckMs,
    }),
};

const idle: Scenario = {
  name: "idle connections",
  sent: "2,000 connections that send one GET each, and then nothing for 15 s",
  expected: ["404"],
  growth: { mebibytes: (2_000 * KIB_EACH) / 1_024 + 64, why: growth.why },
  async run({ port, tally }) {
    const connections = await openMany(port, 2_000, tally);
    for (const connection of connections) connection.send(getText("/absent"));
    await sleep(15_000);
    const failures = connections.some(({ isClosed }) => isClosed) ? ["some were closed"] : [];
    destroyAll(connections);
    return { failures };
  },
};

const absent: Scenario = {
  name: "absent keys",
  sent: "400,000 GETs of as many keys that do not exist, 128 at a time",
  expected: ["404"],
  growth: { mebibytes: GARBAGE_MIB, why: GARBAGE },
  async run({ port, tally }) {
    let sent = 0;
    const next = (): string | undefined => {
      if (sent === 400_000) return undefined;
      sent += 1;
      return getText(`/absent-${sent}`);
    };
    const startedAt = performance.now();
    await closedLoop({ port, tally, connections: 16, depth: 8, next });
    const perSecond = sent / ((performance.now() - startedAt) / 1_000);
    return { notes: [`${Math.round(perSecond).toLocaleString("en")} answers/s`] };
  },
};

export const SLOW = [slowHeaders, slowBodies, idle, absent];
