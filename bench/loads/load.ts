import type { Contender } from "../peers/contender.ts";
import type { WireClient, WireRequest } from "./wire.ts";

export const LOAD_NAMES = ["get", "put", "hot", "version", "cas", "mix", "list"] as const;
export type LoadName = (typeof LOAD_NAMES)[number];

export const LOAD_TITLES: Readonly<Record<LoadName, string>> = {
  get: "GET latest, 1,000 keys",
  put: "PUT, 1,000 keys",
  hot: "PUT, one key",
  version: "GET a random version of 1,000",
  cas: "PUT ?cas=, 1,000 keys",
  mix: "90 % GET, 10 % PUT, 1,000 keys",
  list: "list, pages of 100 keys",
};

/** A contender made ready for one load: what is sent to it, and how its answers are checked. */
export interface PreparedLoad {
  readonly script: "pool" | "cas";
  /** What `pool` sends at random. Conditional PUTs each depend on the answer before. */
  readonly requests: readonly WireRequest[];
  /** Keys whose versions are counted before and after, where every request is a PUT. */
  readonly written: readonly string[];
  /** Asks for something that the load is reading or writing and compares the answer; throws. */
  readonly check: (client: WireClient) => Promise<void>;
}

export interface LoadContext {
  readonly contender: Contender;
  readonly client: WireClient;
  readonly valueBytes: number;
  readonly random: () => number;
}

/** Undefined where the contender can't do it. */
export type PrepareLoad = (context: LoadContext) => Promise<PreparedLoad | undefined>;
