import type { Server } from "node:http";
import type { Socket } from "node:net";

/**
 * Ends connections whose reader takes nothing of an answer for `timeoutMs`. Node's own timer does it,
 * but is set only where output is waiting at a look around: set for every connection, it is moved at
 * every read and write, which shows in the rate of short requests.
 */
export function guardStalls(
  server: Server,
  connections: ReadonlySet<Socket>,
  timeoutMs: number,
): void {
  server.on("listening", () => {
    const timer = setInterval(() => {
      for (const socket of connections) {
        if (socket.writableLength > 0 && socket.timeout !== timeoutMs) socket.setTimeout(timeoutMs);
      }
    }, timeoutMs / 4);
    server.on("close", () => clearInterval(timer));
  });
}
