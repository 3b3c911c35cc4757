import { once } from "node:events";
import { createServer } from "node:net";
import { UsageError } from "./parse.ts";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/**
 * Listens for a moment, so that an address that can't be had is known before a store is opened, and
 * nothing has been created by then.
 */
export async function assertFree(endpoint: Endpoint): Promise<void> {
  const probe = createServer();
  try {
    probe.listen(endpoint.port, endpoint.host);
    await once(probe, "listening");
  } catch (error) {
    throw listenError(error, endpoint);
  }
  probe.close();
  await once(probe, "close");
}

/** Says what to do where an address can't be listened on; answers any other error as it came. */
export function listenError(error: unknown, { host, port }: Endpoint): unknown {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  switch (code) {
    case "EADDRINUSE":
      return new UsageError(
        `Port ${port} of ${host} is in use${process.platform === "darwin" && port === 5000 ? AIRPLAY : ""}. ` +
          `Take another one with --port ${port + 1}, or any free one with --port 0.`,
      );
    case "EACCES":
      return new UsageError(
        `Port ${port} is not open to this user. Take one above 1023, as in --port 5000.`,
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new UsageError(
        `--host ${host} is no address of this machine. Take 127.0.0.1, or 0.0.0.0 for all of them.`,
      );
    default:
      return error;
  }
}

const AIRPLAY = " (on macOS by the AirPlay Receiver, unless it is turned off)";
