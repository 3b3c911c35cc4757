import type { Random } from "../../src/torture/random.ts";
import type { VssServer, VssServerOptions } from "../servers/vss-server.ts";
import type { BackEnd, BackEndName } from "./back-ends.ts";
import type { SmallDisk } from "./full-disk.ts";

/** Something that goes wrong. */
export interface Fault {
  readonly name: string;
  readonly what: string;
  /** The back ends on which it makes sense. */
  readonly on: readonly BackEndName[];
  /** Makes it happen, and answers once it is over and all processes are up again. */
  readonly inject: (context: FaultContext) => Promise<void>;
  /** Calls that end without an answer because a server process of ours is gone, or stands still. */
  readonly excuses?: readonly ("connection" | "timeout")[];
  /** Gives the back end a disk of this size, in MiB. */
  readonly diskMebibytes?: number;
  /** Largest value of the load, in bytes. */
  readonly valueBytesMax?: number;
  /** Has the first of our server processes started otherwise than the others. */
  readonly firstServer?: (
    folder: string,
    note: (text: string) => void,
  ) => Promise<Omit<Partial<VssServerOptions>, "store">>;
}

export interface FaultContext {
  readonly backEnd: BackEnd;
  readonly servers: readonly VssServer[];
  readonly random: Random;
  /** How long a pause lasts, in milliseconds. */
  readonly pauseMs: number;
  /** A folder of this run. */
  readonly folder: string;
  readonly disk: SmallDisk | undefined;
  /** Service can come back from now on; unless told, from the end of the fault. */
  readonly over: () => void;
}
