import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** One answer, without its body. */
export interface Answer {
  readonly status: number;
  readonly head: string;
}

/** The counts of a tally, as they go from one process to another. */
export interface TallyCounts {
  readonly counts: readonly (readonly [kind: string, count: number])[];
  readonly withoutRetryAfter: number;
}

/** How often each status was answered; "closed" counts connections that ended without an answer. */
export class Tally {
  readonly #counts: Map<string, number>;
  /** Refusals that did not say when to come back. */
  withoutRetryAfter: number;

  constructor({ counts, withoutRetryAfter }: TallyCounts = { counts: [], withoutRetryAfter: 0 }) {
    this.#counts = new Map(counts);
    this.withoutRetryAfter = withoutRetryAfter;
  }

  get plain(): TallyCounts {
    return { counts: [...this.#counts], withoutRetryAfter: this.withoutRetryAfter };
  }

  add(what: string, count = 1): void {
    if (count === 0) return;
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + count);
  }

  addAnswer({ status, head }: Answer): void {
    this.add(`${status}`);
    if (status === 503 && !/\r\nretry-after: \d/i.test(head)) this.withoutRetryAfter += 1;
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  get kinds(): readonly string[] {
    return [...this.#counts.keys()].toSorted();
  }

  toString(): string {
    return this.kinds.map((kind) => `${kind}: ${this.of(kind).toLocaleString("en")}`).join(", ");
  }
}

const HEAD_END = Buffer.from("\r\n\r\n");

/** Tells answers apart by their Content-Length, and keeps nothing of their bodies. */
class AnswerParser {
  #head: Buffer = Buffer.alloc(0);
  #bodyLeft = 0;

  *push(chunk: Buffer): Generator<Answer> {
    let rest = chunk;
    for (;;) {
      const skipped = Math.min(this.#bodyLeft, rest.byteLength);
      this.#bodyLeft -= skipped;
      rest = rest.subarray(skipped);
      if (rest.byteLength === 0) return;
      const held = this.#head.byteLength === 0 ? rest : Buffer.concat([this.#head, rest]);
      const end = held.indexOf(HEAD_END);
      if (end === -1) {
        this.#head = held;
        return;
      }
      this.#head = Buffer.alloc(0);
      const head = held.toString("latin1", 0, end);
      this.#bodyLeft = bodyLength(head);
      rest = held.subarray(end + HEAD_END.byteLength);
      yield { status: Number(head.slice(9, 12)), head };
    }
  }
}

/** A stream of events has no length: all that follows is its body. */
function bodyLength(head: string): number {
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length !== undefined) return Number(length);
  return /\r\ncontent-type: text\/event-stream/i.test(head) ? Infinity : 0;
}

/** A connection that sends what it likes, and counts what it is answered. */
export class Connection {
  readonly socket: Socket;
  /** Final answers so far. */
  answers = 0;
  isClosed = false;
  onAnswer: (answer: Answer) => void = () => {};
  onData: (chunk: Buffer) => void = () => {};
  readonly #parser = new AnswerParser();

  private constructor(port: number, readsAnswers: boolean) {
    this.socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.socket.on("error", () => {});
    this.socket.on("close", () => (this.isClosed = true));
    if (readsAnswers) this.socket.on("data", (chunk) => this.#read(chunk));
    else this.socket.pause();
  }

  /** `readsAnswers: false` leaves everything in the socket for ever. */
  static async open(port: number, options = { readsAnswers: true }): Promise<Connection> {
    const connection = new Connection(port, options.readsAnswers);
    await once(connection.socket, "connect");
    return connection;
  }

  #read(chunk: Buffer): void {
    this.onData(chunk);
    for (const answer of this.#parser.push(chunk)) {
      if (answer.status >= 200) this.answers += 1;
      this.onAnswer(answer);
    }
  }

  send(bytes: string | Uint8Array): void {
    if (this.socket.writable) this.socket.write(bytes);
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** How many connections are being opened at a time: fewer than the queue of the kernel holds. */
const OPENING_MAX = 200;

/** Opens many at once, all counting into one tally. */
export async function openMany(
  port: number,
  count: number,
  tally: Tally,
  options = { readsAnswers: true },
): Promise<readonly Connection[]> {
  const all: Connection[] = [];
  while (all.length < count) {
    const batch = Math.min(OPENING_MAX, count - all.length);
    const opened = Array.from({ length: batch }, () => Connection.open(port, options));
    for (const connection of await Promise.all(opened)) {
      connection.onAnswer = (answer) => tally.addAnswer(answer);
      all.push(connection);
    }
  }
  return all;
}

export function destroyAll(connections: readonly Connection[]): void {
  for (const connection of connections) connection.destroy();
}

export function getText(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
}

export function putText(path: string, body: string): string {
  const length = Buffer.byteLength(body);
  return `PUT ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n${body}`;
}

export interface ClosedLoop {
  readonly port: number;
  readonly tally: Tally;
  readonly connections: number;
  /** Requests that each connection keeps under way. */
  readonly depth: number;
  /** The text of a request; undefined when there are no more. */
  readonly next: () => string | undefined;
  /** How long a connection waits when it was refused; not at all unless told. */
  readonly pauseMs?: number;
}

/** Keeps a number of requests under way until there are no more, or the server closes. */
export async function closedLoop(loop: ClosedLoop): Promise<void> {
  const connections = await openMany(loop.port, loop.connections, loop.tally);
  await Promise.all(connections.map((connection) => drive(connection, loop)));
  destroyAll(connections);
}

async function drive(
  connection: Connection,
  { tally, depth, next, pauseMs = 0 }: ClosedLoop,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let underWay = 0;
  const fill = (): void => {
    let text = "";
    while (underWay < depth) {
      const request = next();
      if (request === undefined) break;
      text += request;
      underWay += 1;
    }
    if (text !== "") connection.send(text);
    if (underWay === 0) resolve();
  };
  let isPlanned = false;
  connection.onAnswer = (answer) => {
    tally.addAnswer(answer);
    underWay -= 1;
    if (isPlanned) return;
    isPlanned = true;
    const goOn = (): void => {
      isPlanned = false;
      fill();
    };
    if (answer.status === 503 && pauseMs > 0) setTimeout(goOn, pauseMs);
    // Answers that came together are followed by requests that go together.
    else queueMicrotask(goOn);
  };
  connection.socket.on("close", () => {
    if (underWay > 0) tally.add("closed");
    resolve();
  });
  fill();
  await promise;
}
