import type { Socket } from "node:net";

/** What tells clients apart. A connection that is gone may have none. */
export function addressOf({ remoteAddress = "" }: Pick<Socket, "remoteAddress">): string {
  return remoteAddress;
}
