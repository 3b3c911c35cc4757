import { START_BACK_END, type GroupName } from "./back-ends.ts";
import { startBare, type BareContender } from "./peers/bare.ts";
import type { Contender } from "./peers/contender.ts";
import { startOurs } from "./peers/ours.ts";

/** What is measured in turns, round by round, so that shares are of the same minutes. */
export interface Group {
  readonly name: GroupName;
  /** The back end, and what decides how durable its writes are. */
  readonly settings: string;
  readonly bare: BareContender;
  readonly ours: Contender;
  /** All of them, `bare` and `ours` first. */
  readonly contenders: readonly Contender[];
  stop(): Promise<void>;
}

/** The checkouts to run our server from; `base` is there only in a comparison. */
export interface Revisions {
  readonly ours: string | undefined;
  readonly base: string | undefined;
}

/** Starts a back end and everything that is measured over it. */
export async function startGroup(name: GroupName, revisions: Revisions): Promise<Group> {
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
    const { base, ours: root } = revisions;
    const start = async (side: "ours" | "base", path: string | undefined): Promise<Contender> => {
      const place = path === undefined ? {} : { root: path };
      return keep(await startOurs({ storeUrl: backEnd.storeUrl(), name: side, ...place }));
    };
    const ours = await start("ours", root);
    const contenders: Contender[] = [bare, ours];
    if (base !== undefined) contenders.push(await start("base", base));
    else for (const startOther of backEnd.others) contenders.push(keep(await startOther()));
    return { name, settings: backEnd.settings, bare, ours, contenders, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
