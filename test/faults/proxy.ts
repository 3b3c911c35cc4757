import { once } from "node:events";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** What the proxy does to bytes: to what clients send (`up`) and to what the back end answers. */
export interface Weather {
  /** Delays each piece by this many milliseconds. */
  readonly delayMs?: number;
  /** Swallows what clients send: half-open, as when a cable is pulled. */
  readonly dropsUp?: boolean;
  /** Swallows what the back end answers: commits happen, and nobody hears of it. */
  readonly dropsDown?: boolean;
}

/** A TCP proxy on a free loopback port that can hurt the connections through it. */
export class Proxy {
  readonly port: number;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #targetPort: number;
  #weather: Weather = {};

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    this.#targetPort = targetPort;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(targetPort: number): Promise<Proxy> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const proxy = new Proxy(server, targetPort);
    server.on("connection", (client) => proxy.#join(client));
    return proxy;
  }

  /** Fair weather unless told otherwise. */
  set(weather: Weather): void {
    this.#weather = weather;
  }

  /** Sends new connections to another server, and cuts the old ones, as a load balancer does. */
  retarget(port: number): void {
    this.#targetPort = port;
    this.cut();
  }

  /** Resets every connection at once, in the middle of whatever it carries. */
  cut(): void {
    for (const [client, target] of this.#pairs) {
      client.resetAndDestroy();
      target.destroy();
    }
  }

  /**
   * Swallows answers for a while and then cuts: what was asked meanwhile has happened, and its
   * acknowledgement is lost.
   */
  async loseAnswers(ms: number): Promise<void> {
    this.set({ dropsDown: true });
    await sleep(ms);
    this.cut();
    this.set({});
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.cut();
    await once(this.#server, "close");
  }

  #join(client: Socket): void {
    const target = connect(this.#targetPort, "127.0.0.1");
    const pair = [client, target] as const;
    this.#pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      // A reset is what this proxy is for; the close that follows ends the other side.
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#pairs.delete(pair);
        client.destroy();
        target.destroy();
      });
    }
    this.#carry(client, target, () => this.#weather.dropsUp === true);
    this.#carry(target, client, () => this.#weather.dropsDown === true);
  }

  #carry(from: Socket, to: Socket, isDropping: () => boolean): void {
    // Delayed pieces go one after the other, so that bytes stay in order when the weather clears.
    let last: Promise<unknown> = Promise.resolve();
    from.on("data", (bytes) => {
      if (isDropping()) return;
      const { delayMs = 0 } = this.#weather;
      const due = delayMs > 0 ? sleep(delayMs) : undefined;
      last = Promise.all([last, due]).then(() => to.writable && to.write(bytes));
    });
    from.on("end", () => void last.then(() => to.end()));
  }
}
