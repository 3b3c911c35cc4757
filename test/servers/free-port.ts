import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:net";

/** Systems take the ports of outgoing connections from above these, and could take ours meanwhile. */
const PORT_MIN = 20_000;
const PORT_COUNT = 6_000;
const ATTEMPTS = 200;

/**
 * A loopback port that nothing listens on, and that no other test gets for as long as this process
 * lives: so a server may be stopped and started again on it. To listen on the port `PORT_COUNT` above
 * it reserves it, which the system undoes even after a kill.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const port = PORT_MIN + randomInt(PORT_COUNT);
    const reservation = await listenOn(port + PORT_COUNT);
    if (reservation === undefined) continue;
    const server = await listenOn(port);
    if (server === undefined) {
      reservation.close();
      continue;
    }
    server.close();
    await once(server, "close");
    return port;
  }
  throw new Error(`no free port among ${ATTEMPTS} from ${PORT_MIN} to ${PORT_MIN + PORT_COUNT}`);
}

/** Answers undefined where the port is taken. Such a server does not keep its process alive. */
async function listenOn(port: number): Promise<Server | undefined> {
  const server = createServer().unref();
  server.listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
    return server;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return undefined;
    throw error;
  }
}
