import { startGalera, untilWithout, type GaleraNode } from "../servers/galera.ts";
import { startMongodb } from "../servers/mongodb.ts";
import { waitUntil } from "../servers/process.ts";
import { Proxy } from "./proxy.ts";
import { startClusterGroup, startSentinelGroup } from "./redis-groups.ts";

/** Several nodes of a back end, one or more of which take writes. */
export interface Group {
  readonly url: string;
  /** A node that takes writes at the moment. */
  primary(): Promise<GroupNode>;
  /** Answers once other nodes serve all that this one did. */
  takenOver(node: GroupNode): Promise<void>;
  /** Has another node take over in good order, and answers when it has. */
  handOver(): Promise<void>;
  /** Stops a primary's replica and breaks the link between them; answers what lets it go on. */
  readonly holdReplica: ((node: GroupNode) => Promise<() => void>) | undefined;
  /** Moves a share of the keys to another node. */
  readonly moveKeys: (() => Promise<void>) | undefined;
  stop(): Promise<void>;
}

export interface GroupNode {
  signal(name: NodeJS.Signals): void;
  /** Starts it again over the same data, once it has ended. */
  restart(): Promise<void>;
}

export const GROUP_NAMES = [
  "mongodb-three-members",
  "redis-cluster",
  "redis-cluster-strict",
  "redis-cluster-no-wait",
  "redis-sentinel",
  "redis-sentinel-no-wait",
  "galera",
] as const;

export type GroupName = (typeof GROUP_NAMES)[number];

/** Starts nodes that find out about a silent one within two seconds. */
export async function startGroup(name: GroupName): Promise<Group> {
  switch (name) {
    case "mongodb-three-members":
      return startMongodbGroup();
    case "redis-cluster":
      return startClusterGroup("");
    case "redis-cluster-strict":
      return startClusterGroup("?replicas=1");
    case "redis-cluster-no-wait":
      return startClusterGroup("?replicas=0");
    case "redis-sentinel":
      return startSentinelGroup("");
    case "redis-sentinel-no-wait":
      return startSentinelGroup("?replicas=0");
    case "galera":
      return startGaleraGroup();
  }
}

async function startMongodbGroup(): Promise<Group> {
  const replicaSet = { members: 3, electionTimeoutMs: 2_000 };
  const server = await startMongodb({ replicaSet });
  const takenOver = (node: GroupNode): Promise<void> =>
    waitUntil("another primary", async () => {
      const others = server.members.filter((member) => member !== node);
      const hellos = await Promise.all(others.map((member) => member.command({ hello: 1 })));
      return hellos.some((hello) => hello?.["isWritablePrimary"] === true);
    });
  return {
    url: server.url,
    primary: () => server.primary(),
    takenOver,
    handOver: async () => {
      const primary = await server.primary();
      await primary.command({ replSetStepDown: 10, secondaryCatchUpPeriodSecs: 5 });
      await takenOver(primary);
    },
    holdReplica: undefined,
    moveKeys: undefined,
    stop: () => server.stop(),
  };
}

/** Three nodes behind a proxy that sends all writes to one, as one has to with Galera. */
async function startGaleraGroup(): Promise<Group> {
  const cluster = await startGalera();
  const { nodes } = cluster;
  const [first] = nodes;
  if (first === undefined) throw new Error("a cluster has nodes");
  let primary: GaleraNode = first;
  const proxy = await Proxy.start(first.port);
  const othersOf = (node: GaleraNode): readonly GaleraNode[] =>
    nodes.filter((other) => other !== node);
  const asGroupNode = (node: GaleraNode): GroupNode => ({
    signal: (name) => node.signal(name),
    restart: () => node.restart(othersOf(node)),
  });
  const moveTo = (node: GaleraNode): void => {
    primary = node;
    proxy.retarget(node.port);
  };
  return {
    url: first.url.replace(`:${first.port}`, `:${proxy.port}`),
    primary: async () => asGroupNode(primary),
    takenOver: async () => moveTo(await untilWithout(primary, nodes)),
    handOver: async () => moveTo(othersOf(primary)[0] ?? first),
    holdReplica: undefined,
    moveKeys: undefined,
    stop: async () => {
      await proxy.stop();
      await cluster.stop();
    },
  };
}
