import type { Server } from "node:http";
import type { Socket } from "node:net";

/** A server's open connections, as they come and go. */
export function connectionsOf(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => {
      sockets.delete(socket);
      forget(socket);
    });
  });
  return sockets;
}

/**
 * Takes all that listens from a connection that is closed. Each stream holds a function that V8 allocates
 * in its old generation, as it does with every function literal that is assigned to a property
 * (`this.onwrite = …` in Node's internal/streams/writable.js). Until the next full collection that one
 * holds the connection, and the connection its listeners with all that they see: the collections of the
 * young generation move them about, for tens of milliseconds where thousands of clients come and go.
 */
function forget(socket: Socket): void {
  socket.removeAllListeners();
  socket.on("error", ignore);
}

/** Of an error without a listener the process would end. */
function ignore(): void {}
