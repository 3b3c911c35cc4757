import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

import { forEachParallel } from "../../../bench/loads/wire.ts";
import { waitUntil } from "../../servers/process.ts";
import { HTTP_LIMITS_DEFAULT } from "../../../src/http/options.ts";
import {
  closedLoop,
  Connection,
  destroyAll,
  getText,
  openMany,
  putText,
  Tally,
} from "../connection.ts";
import { readServer } from "../server.ts";
import { GARBAGE, GARBAGE_MIB, MIB, type Scenario } from "../scenario.ts";

const HELD_MIB = HTTP_LIMITS_DEFAULT.heldBytesMax / MIB;

/** Puts one value, outside of the counts. */
async function put(url: string, path: string, value: string): Promise<void> {
  const answer = await fetch(url + path, { method: "PUT", body: value });
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
}

const readers: Scenario = {
  name: "readers that never read",
  sent: "200 connections that ask for a value of 1 MiB, 8 times at once and then once a second, 8 times",
  expected: ["200"],
  growth: {
    mebibytes: 2 * HELD_MIB + GARBAGE_MIB,
    why: `twice the ${HELD_MIB} MiB of answers that may be held (an answer is copied once as it leaves) and ${GARBAGE}`,
  },
  async run({ port, url, tally }) {
    await put(url, "/big", "x".repeat(MIB));
    const connections = await openMany(port, 200, new Tally(), { readsAnswers: false });
    for (const connection of connections) connection.send(getText("/big").repeat(8));
    let heldMax = 0;
    for (let n = 0; n < 8; n += 1) {
      await sleep(1_000);
      for (const connection of connections) connection.send(getText("/big"));
      heldMax = Math.max(heldMax, (await readServer(url)).heldBytes);
    }
    destroyAll(connections);
    const asked = await fetch(`${url}/big`);
    tally.add(`${asked.status}`);
    return { notes: [`${Math.round(heldMax / MIB)} MiB held at most`] };
  },
};

const BEHIND = 24_000;
const BEHIND_AT_A_TIME = 20;

const behindWatch: Scenario = {
  name: "requests behind a watch",
  sent:
    "24,000 connections, 20 at a time, that open a watch, and send 500 GETs behind it, which can never " +
    "be answered",
  expected: ["closed"],
  growth: {
    mebibytes: GARBAGE_MIB + (BEHIND_AT_A_TIME * 500 * 4) / 1_024,
    why: `4 KiB for each of the requests, which become objects before they are dropped, and ${GARBAGE}`,
  },
  async run({ port, url, tally }) {
    await forEachParallel(BEHIND, BEHIND_AT_A_TIME, async () => {
      const connection = await Connection.open(port);
      const closed = once(connection.socket, "close");
      connection.send(getText("/watched/watch") + getText("/a").repeat(500));
      const kind = await Promise.race([closed.then(() => "closed"), sleep(5_000, "still open")]);
      tally.add(kind);
      connection.destroy();
    });
    const { inFlight } = await readServer(url);
    return { notes: [`${inFlight} requests under way afterwards`] };
  },
};

const WATCHERS_IDLE = 2_000;
const WATCHERS_UNREAD = 200;
const EVENTS = 10_000;
const SLICE = 500;
const EVENT_VALUE = "v".repeat(4_096);

const watchers: Scenario = {
  name: "watchers",
  sent:
    "2,000 watches of a key that nobody writes, 200 that never read and 1 that does of a key with " +
    "10,000 PUTs of 4 KiB, values and all, and then nothing for 10 s",
  expected: ["200"],
  growth: {
    mebibytes: 2 * GARBAGE_MIB + ((WATCHERS_IDLE + WATCHERS_UNREAD) * 48) / 1_024 + 128,
    why:
      `48 KiB a watch, 128 MiB for the 10,000 versions and the 1,000 events that may wait, ` +
      `and ${2 * GARBAGE_MIB} MiB of garbage not yet collected`,
  },
  async run({ port, url, tally }) {
    const idle = await openMany(port, WATCHERS_IDLE, tally);
    for (const connection of idle) connection.send(getText("/quiet/watch"));
    const unread = await openMany(port, WATCHERS_UNREAD, tally, { readsAnswers: false });
    for (const connection of unread) connection.send(getText("/busy/watch?values=true"));
    const [reader] = await openMany(port, 1, tally);
    const watches = WATCHERS_IDLE + WATCHERS_UNREAD + 1;
    const seen = new Set<string>();
    let text = "";
    if (reader === undefined) throw new Error("no connection");
    reader.onData = (chunk) => {
      text += chunk.toString("latin1");
      for (const [, version = ""] of text.matchAll(/"version":(\d+)/g)) seen.add(version);
      text = text.slice(text.lastIndexOf("\n") + 1);
    };
    reader.send(getText("/busy/watch?values=true"));
    // An event that is written before a watch is open is none of its.
    await waitUntil("the watches", async () => (await readServer(url)).watchers === watches);
    const startedAt = performance.now();
    for (let sent = 0; sent < EVENTS; sent += SLICE) {
      let left = SLICE;
      const next = (): string | undefined =>
        left-- > 0 ? putText("/busy", EVENT_VALUE) : undefined;
      await closedLoop({ port, tally, connections: 4, depth: 1, next });
      // A reader may be 1,000 events behind.
      for (let n = 0; n < 100 && seen.size < sent + SLICE; n += 1) await sleep(20);
    }
    const seconds = (performance.now() - startedAt) / 1_000;
    await sleep(10_000);
    destroyAll([...idle, ...unread, reader]);
    return {
      notes: [
        `${watches} watches open, ${Math.round(EVENTS / seconds).toLocaleString("en")} PUTs/s`,
        `the one that reads saw ${seen.size} of ${EVENTS}`,
      ],
      failures: seen.size === EVENTS ? [] : [`a reader saw ${seen.size} of ${EVENTS} events`],
    };
  },
};

export const UNREAD = [readers, behindWatch, watchers];
