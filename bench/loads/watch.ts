import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { waitUntil } from "../../test/servers/process.ts";
import type { GroupName } from "../back-ends.ts";
import { residentBytes } from "../measure/usage.ts";
import type { Contender } from "../peers/contender.ts";
import { put, WireClient } from "./wire.ts";

/** What one number of watchers of one key were sent. Times are in microseconds. */
export interface WatchRow {
  readonly group: GroupName;
  readonly watchers: number;
  readonly writes: number;
  /** From sending the PUT to the arrival of its event, over all watchers and writes. */
  readonly p50Us: number;
  readonly p99Us: number;
  /** From sending the PUT to its own answer. */
  readonly putP50Us: number;
  /** Memory of the server's process for each watcher, while they are connected. */
  readonly kibPerWatcher: number;
}

export interface WatchOptions {
  readonly watchers: number;
  readonly writes: number;
  /** From one write to the next. */
  readonly everyMs: number;
}

/** Processes of ours over one store. */
export interface WatchServers {
  readonly watched: Contender;
  readonly written: Contender;
}

const CONNECT_AT_ONCE = 50;
const DELIVERY_TIMEOUT_MS = 20_000;

/**
 * One writer, many watchers of its key: each must get every version once and in order, and the times
 * to delivery are what is measured. The watchers are plain sockets of this process; what it takes to
 * read them all is part of the time.
 */
export async function measureWatch(
  group: GroupName,
  { watched, written }: WatchServers,
  options: WatchOptions,
): Promise<WatchRow> {
  const client = new WireClient(written.port, 1);
  const key = `watched-${options.watchers}`;
  const { body } = await client.sendOk(put(`/${key}`, "first"));
  const first = written.surface.readPut(body);
  const memoryBefore = await residentBytes(watched.pid);
  const watchers: Watcher[] = [];
  try {
    while (watchers.length < options.watchers) {
      const count = Math.min(CONNECT_AT_ONCE, options.watchers - watchers.length);
      const opened = Array.from({ length: count }, async () => Watcher.open(watched.port, key));
      watchers.push(...(await Promise.all(opened)));
    }
    const memory = (await residentBytes(watched.pid)) - memoryBefore;
    const { sentAt, putTimes } = await write(client, key, options);
    const last = first + options.writes;
    await waitUntil(
      `delivery of version ${last} to ${options.watchers} watchers`,
      () => watchers.every((watcher) => watcher.version === last),
      DELIVERY_TIMEOUT_MS,
    );
    const times = watchers.flatMap((watcher) => watcher.timesSince(sentAt, first));
    return {
      group,
      watchers: options.watchers,
      writes: options.writes,
      p50Us: percentile(times, 50),
      p99Us: percentile(times, 99),
      putP50Us: percentile(putTimes, 50),
      kibPerWatcher: memory / 1024 / options.watchers,
    };
  } finally {
    for (const watcher of watchers) watcher.close();
    client.close();
  }
}

async function write(
  client: WireClient,
  key: string,
  { writes, everyMs }: WatchOptions,
): Promise<{ readonly sentAt: readonly number[]; readonly putTimes: readonly number[] }> {
  const sentAt: number[] = [];
  const putTimes: number[] = [];
  for (let index = 0; index < writes; index += 1) {
    const started = performance.now();
    sentAt.push(started);
    await client.sendOk(put(`/${key}`, `value ${index}`));
    putTimes.push((performance.now() - started) * 1000);
    await sleep(Math.max(0, started + everyMs - performance.now()));
  }
  return { sentAt, putTimes };
}

/** The value below which `percent` of all lie: always one of them. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const index = Math.ceil((sorted.length * percent) / 100) - 1;
  const value = sorted[Math.max(0, index)];
  if (value === undefined) throw new Error("there is no percentile of nothing");
  return value;
}

/** One open watch: notes when each version came, and that none was left out or came twice. */
class Watcher {
  readonly #socket: Socket;
  readonly #arrivals: number[] = [];
  #rest = "";
  #version = 0;
  #isReady = false;
  #fault: string | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk.toString("latin1")));
    socket.on("error", (error) => (this.#fault = error.message));
    socket.on("close", () => (this.#fault ??= "the server closed a watch"));
  }

  /** Answers when the server has told the watcher that it is up to date. */
  static async open(port: number, key: string): Promise<Watcher> {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    const watcher = new Watcher(socket);
    socket.write(`GET /${key}/watch HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
    await waitUntil("the start of a watch", () => {
      if (watcher.#fault !== undefined) throw new Error(watcher.#fault);
      return watcher.#isReady;
    });
    return watcher;
  }

  get version(): number {
    if (this.#fault !== undefined) throw new Error(this.#fault);
    return this.#version;
  }

  /** Microseconds from each write to the arrival of its event. `first` is the version before them. */
  timesSince(sentAt: readonly number[], first: number): readonly number[] {
    return sentAt.map((sent, index) => {
      const arrived = this.#arrivals[first + 1 + index];
      if (arrived === undefined) throw new Error(`version ${first + 1 + index} never came`);
      return (arrived - sent) * 1000;
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(text: string): void {
    const now = performance.now();
    const events = `${this.#rest}${text}`.split("\n\n");
    this.#rest = events.pop() ?? "";
    for (const event of events) {
      if (event.includes("event: caught-up")) this.#isReady = true;
      const version = /"version":(\d+)/.exec(event)?.[1];
      if (version !== undefined) this.#take(Number(version), now);
    }
  }

  #take(version: number, now: number): void {
    if (this.#version !== 0 && version !== this.#version + 1) {
      this.#fault = `a watcher saw version ${version} after ${this.#version}`;
    }
    this.#version = version;
    this.#arrivals[version] = now;
  }
}
