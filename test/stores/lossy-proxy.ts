import { once } from "node:events";
import {
  createConnection as connectSocket,
  createServer,
  type AddressInfo,
  type Socket,
} from "node:net";
import type { TestContext } from "node:test";

/** What a {@link Proxy} does with a piece that a client sends. */
export type Verdict =
  | "pass"
  /** Passes it on, and lets no answer back: the connection is cut once the server has answered. */
  | "cut-answer"
  /** Cuts the connection, and passes nothing on. */
  | "cut"
  /** Cuts the client's side at once, and passes the piece on a little later. */
  | "cut-and-pass-late"
  /** Passes nothing on and says nothing, in either direction, for as long as the proxy lives. */
  | "swallow"
  /** Passes nothing on, and answers with these bytes. */
  | Uint8Array;

const LATE_MS = 300;

/** Stands between a store and its server, and loses what a test tells it to lose. */
export class Proxy {
  readonly url: string;
  /** Asked for every piece that a client sends. */
  decide: (piece: Buffer) => Verdict = () => "pass";
  readonly #server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: ReturnType<typeof createServer>, url: string) {
    this.#server = server;
    this.url = url;
  }

  /** How many connections to the server are open. */
  get open(): number {
    return this.#sockets.size / 2;
  }

  /** Ends with the test. */
  static async start(test: TestContext, target: string): Promise<Proxy> {
    const { hostname, port } = new URL(target);
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = new URL(target);
    url.hostname = "127.0.0.1";
    url.port = String((server.address() as AddressInfo).port);
    const proxy = new Proxy(server, url.href);
    test.after(() => proxy.#stop());
    server.on("connection", (client) => {
      proxy.#join(client, connectSocket({ host: hostname, port: Number(port), noDelay: true }));
    });
    return proxy;
  }

  async #stop(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, "close");
  }

  #join(client: Socket, server: Socket): void {
    let swallowing = false;
    let cutting = false;
    const cut = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
    }
    client.on("close", () => {
      if (!cutting) server.destroy();
    });
    server.on("close", () => client.destroy());
    server.on("data", (piece) => {
      if (cutting) cut();
      else if (!swallowing) client.write(piece);
    });
    client.on("data", (piece) => {
      const verdict = swallowing ? "swallow" : this.decide(piece);
      if (verdict === "pass") server.write(piece);
      else if (verdict === "swallow") swallowing = true;
      else if (verdict === "cut") cut();
      else if (verdict === "cut-answer") {
        cutting = true;
        server.write(piece);
      } else if (verdict instanceof Uint8Array) client.write(verdict);
      else {
        cutting = true;
        client.destroy();
        setTimeout(() => server.write(piece), LATE_MS);
      }
    });
  }
}

/** A verdict for the first piece that holds these words, and `pass` for all else. */
export function firstWith(words: string, verdict: Verdict): (piece: Buffer) => Verdict {
  let done = false;
  return (piece) => {
    if (done || !piece.includes(words)) return "pass";
    done = true;
    return verdict;
  };
}
