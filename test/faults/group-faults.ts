import { setTimeout as sleep } from "node:timers/promises";

import type { Fault, FaultContext } from "./fault.ts";
import { GROUP_NAMES, type Group } from "./groups.ts";

const REDIS_GROUP_NAMES = GROUP_NAMES.filter((name) => name.startsWith("redis-"));

function groupOf({ backEnd }: FaultContext): Group {
  if (backEnd.group === undefined) throw new Error(`${backEnd.name} is not several nodes`);
  return backEnd.group;
}

/** How long the load goes on between a takeover and the return of the node that was gone. */
const BEFORE_RETURN_MS = 1_500;

/** How far a replica is behind when it takes over. */
const LAG_MS = 400;

/** What happens to back ends of several nodes. "Primary" is a node that takes writes. */
export const GROUP_FAULTS: readonly Fault[] = [
  {
    name: "kill-primary",
    what: "a primary gets SIGKILL, another takes over, and it is started again",
    on: GROUP_NAMES,
    inject: async (context) => {
      const group = groupOf(context);
      const primary = await group.primary();
      primary.signal("SIGKILL");
      await group.takenOver(primary);
      context.over();
      await sleep(BEFORE_RETURN_MS);
      await primary.restart();
    },
  },
  {
    name: "lagging-replica",
    what: "a primary's replica stands still, and takes over 0.4 s later, when it gets SIGKILL",
    on: REDIS_GROUP_NAMES,
    inject: async (context) => {
      const group = groupOf(context);
      const primary = await group.primary();
      const release = await group.holdReplica?.(primary);
      await sleep(LAG_MS);
      primary.signal("SIGKILL");
      release?.();
      await group.takenOver(primary);
      context.over();
      await sleep(BEFORE_RETURN_MS);
      await primary.restart();
    },
  },
  {
    name: "pause-primary",
    what: "a primary is stopped, another takes over, and it goes on as if nothing had been",
    on: GROUP_NAMES,
    inject: async (context) => {
      const group = groupOf(context);
      const primary = await group.primary();
      primary.signal("SIGSTOP");
      const paused = sleep(context.pauseMs);
      await group.takenOver(primary);
      context.over();
      await Promise.all([paused, sleep(BEFORE_RETURN_MS)]);
      primary.signal("SIGCONT");
    },
  },
  {
    name: "hand-over",
    what: "a primary is told to step down, and another takes over",
    on: GROUP_NAMES,
    inject: async (context) => groupOf(context).handOver(),
  },
  {
    name: "move-keys",
    what: "a share of the keys moves to another node (1,000 slots of Redis Cluster)",
    on: ["redis-cluster"],
    inject: async (context) => groupOf(context).moveKeys?.(),
  },
];
