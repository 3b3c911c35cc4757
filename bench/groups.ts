import { START_BACK_END, type GroupName } from "./back-ends.ts";
import { residentBytes } from "./measure/usage.ts";
import { startBare, type BareContender } from "./peers/bare.ts";
import type { Contender } from "./peers/contender.ts";
import { get, WireClient } from "./loads/wire.ts";
import { startOurs } from "./peers/ours.ts";

/** What is measured in turns, round by round, so that shares are of the same minutes. */
export interface Group {
  readonly name: GroupName;
  readonly facts: GroupFacts;
  readonly bare: BareContender;
  readonly ours: Contender;
  /** Where `ours` keeps its data. */
  readonly storeUrl: string;
  /** The URL of a fresh place in the back end, for one more server of ours. */
  readonly freshStoreUrl: () => string;
  /** All of them, `bare` and `ours` first. */
  readonly contenders: readonly Contender[];
  /** What all data in the back end takes, in bytes; in memory, what a server of ours does. */
  readonly storedBytes: (server: Contender) => Promise<number>;
  stop(): Promise<void>;
}

/** What a group's figures were measured on. */
export interface GroupFacts {
  readonly name: GroupName;
  /** Product and version of the back end, as our server tells it. */
  readonly product: string;
  /** What decides how durable its writes are. */
  readonly settings: string;
  /** What our server promises of an acknowledged write there. */
  readonly promise: string;
}

/** What a group has beside the bare server and ours. */
export type Beside =
  /** Servers written by hand, and peers. */
  | "others"
  | "nothing"
  /** Our server with two processes behind one port. */
  | "workers"
  /** Our server from another checkout of this repository, and perhaps ours from another, too. */
  | { readonly base: string; readonly ours: string | undefined };

/** Starts a back end and everything that is measured over it. */
export async function startGroup(name: GroupName, beside: Beside): Promise<Group> {
  const running: { stop(): Promise<void> }[] = [];
  const stop = async (): Promise<void> => {
    for (const part of running.toReversed()) await part.stop();
  };
  const keep = <T extends { stop(): Promise<void> }>(part: T): T => {
    running.push(part);
    return part;
  };
  try {
    const backEnd = keep(await START_BACK_END[name]());
    const bare = keep(await startBare());
    const revisions = typeof beside === "string" ? undefined : beside;
    const storeUrl = backEnd.storeUrl();
    const root = revisions?.ours;
    const ours = keep(await startOurs({ storeUrl, ...(root === undefined ? {} : { root }) }));
    const contenders: Contender[] = [bare, ours];
    if (revisions !== undefined) {
      const base = { storeUrl: backEnd.storeUrl(), name: "base", root: revisions.base } as const;
      contenders.push(keep(await startOurs(base)));
    }
    if (beside === "workers") {
      const args = ["--workers", "2"];
      contenders.push(
        keep(await startOurs({ storeUrl: backEnd.storeUrl(), name: "workers", args })),
      );
    }
    const others = beside === "others" ? backEnd.others : [];
    for (const startOther of others) contenders.push(keep(await startOther()));
    const storedBytes = backEnd.storedBytes ?? ((server: Contender) => residentBytes(server.pid));
    const facts = { name, settings: backEnd.settings, ...(await readFacts(ours)) };
    const freshStoreUrl = backEnd.storeUrl;
    return { name, facts, bare, ours, storeUrl, freshStoreUrl, contenders, storedBytes, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function readFacts(ours: Contender): Promise<Pick<GroupFacts, "product" | "promise">> {
  const client = new WireClient(ours.port, 1);
  try {
    const { body } = await client.sendOk(get("/-/readyz?verbose"));
    const { store } = JSON.parse(body) as {
      readonly store: { readonly product: string; readonly promise: string };
    };
    return { product: store.product, promise: store.promise };
  } finally {
    client.close();
  }
}
