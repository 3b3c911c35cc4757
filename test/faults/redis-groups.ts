import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { waitUntil } from "../servers/process.ts";
import {
  command,
  MASTER_NAME,
  startOwnRedisCluster,
  startRedisSentinel,
  type RedisServer,
} from "../servers/redis.ts";
import type { Group, GroupNode } from "./groups.ts";

const run = promisify(execFile);

/** Slots that move between two nodes; one of three nodes has about 5,461. */
const SLOTS_MOVED = 1_000;

/** One line of CLUSTER NODES, as one node sees another. */
interface Line {
  readonly id: string;
  readonly port: number;
  readonly flags: readonly string[];
  readonly hasSlots: boolean;
}

async function clusterLines({ port }: RedisServer): Promise<readonly Line[]> {
  const { stdout } = await run("redis-cli", ["-p", `${port}`, "CLUSTER", "NODES"]);
  return stdout
    .trim()
    .split("\n")
    .map((line) => {
      const [id = "", address = "", flags = "", , , , , , ...slots] = line.split(" ");
      const [, own] = /:(\d+)/.exec(address) ?? [];
      return { id, port: Number(own), flags: flags.split(","), hasSlots: slots.length > 0 };
    });
}

/** Of one replica, which is there for tests that know of one. */
async function replicaPortOf(primary: RedisServer): Promise<number> {
  const info = await command(primary.port, "INFO replication");
  const [, port] = /slave0:ip=[^,]*,port=(\d+)/.exec(info) ?? [];
  return Number(port);
}

/** With the link, what is written from now on would wait for the replica in the socket. */
function holdReplicaAmong(nodes: readonly RedisServer[]): NonNullable<Group["holdReplica"]> {
  return async (node) => {
    const primary = nodes.find((each) => each === node);
    if (primary === undefined) throw new Error("that node is of another group");
    const replicaPort = await replicaPortOf(primary);
    const replica = nodes.find(({ port }) => port === replicaPort);
    replica?.signal("SIGSTOP");
    await command(primary.port, "CLIENT KILL TYPE replica");
    return () => replica?.signal("SIGCONT");
  };
}

/** Three masters, each with one replica. */
export async function startClusterGroup(query: string): Promise<Group> {
  const cluster = await startOwnRedisCluster({ masters: 3, replicas: 1, nodeTimeoutMs: 2_000 });
  const { nodes } = cluster;
  const masters = async (witness: RedisServer): Promise<readonly Line[]> =>
    (await clusterLines(witness)).filter(
      ({ flags, hasSlots }) => hasSlots && flags.includes("master") && !flags.includes("fail"),
    );
  const nodeAt = (port: number | undefined): RedisServer => {
    const node = nodes.find((each) => each.port === port);
    if (node === undefined) throw new Error(`no node of the cluster has the port ${port}`);
    return node;
  };
  const first = nodeAt(nodes[0]?.port);
  const takenOver = (node: GroupNode): Promise<void> =>
    waitUntil("another master", async () => {
      const others = nodes.filter((each) => each !== node);
      const seen = await Promise.all(
        others.map(async (other) => {
          const ports = (await masters(other)).map(({ port }) => port);
          const info = await command(other.port, "CLUSTER INFO");
          const isGone = !ports.some((port) => nodeAt(port) === node);
          return ports.length === 3 && isGone && info.includes("cluster_state:ok");
        }),
      );
      return seen.every(Boolean);
    });
  return {
    url: `${cluster.url}${query}`,
    primary: async () => nodeAt((await masters(first))[0]?.port),
    takenOver,
    handOver: async () => {
      const master = nodeAt((await masters(first))[0]?.port);
      await command(await replicaPortOf(master), "CLUSTER FAILOVER");
      await takenOver(master);
    },
    holdReplica: holdReplicaAmong(nodes),
    moveKeys: async () => {
      const [from, to] = await masters(first);
      const ends = ["--cluster-from", `${from?.id}`, "--cluster-to", `${to?.id}`];
      const amount = ["--cluster-slots", `${SLOTS_MOVED}`, "--cluster-yes"];
      const args = ["--cluster", "reshard", `127.0.0.1:${first.port}`, ...ends, ...amount];
      await run("redis-cli", args, { maxBuffer: 2 ** 26 });
    },
    stop: () => cluster.stop(),
  };
}

/** A primary, a replica, and three sentinels that decide on a failover. */
export async function startSentinelGroup(query: string): Promise<Group> {
  const sentinel = await startRedisSentinel(1_500);
  const nodes = [sentinel.primary, sentinel.replica];
  const primary = async (): Promise<RedisServer> => {
    const [decider] = sentinel.sentinels;
    const line = `SENTINEL GET-MASTER-ADDR-BY-NAME ${MASTER_NAME}`;
    const reply = await command(decider?.port ?? 0, line);
    const found = nodes.find(({ port }) => reply.includes(`\r\n${port}\r\n`));
    if (found === undefined) throw new Error(`the sentinels name no node of ours: ${reply}`);
    return found;
  };
  const takenOver = (node: GroupNode): Promise<void> =>
    waitUntil("another primary", async () => {
      const now = await primary();
      if (now === node) return false;
      return (await command(now.port, "INFO replication")).includes("role:master");
    });
  return {
    url: `${sentinel.url}${query}`,
    primary,
    takenOver,
    handOver: async () => {
      const before = await primary();
      await command(sentinel.sentinels[0]?.port ?? 0, `SENTINEL FAILOVER ${MASTER_NAME}`);
      await takenOver(before);
    },
    holdReplica: holdReplicaAmong(nodes),
    moveKeys: undefined,
    stop: () => sentinel.stop(),
  };
}
