import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import {
  freePort,
  removeFolder,
  ServerProcess,
  temporaryFolder,
  waitUntil,
  type TestServer,
} from "./process.ts";

export interface RedisOptions {
  /** When the append-only file reaches the disk; `always` unless told. */
  readonly appendfsync?: "always" | "everysec" | "no";
  /** Further arguments of redis-server, such as `["--requirepass", "secret"]`. They win over ours. */
  readonly args?: readonly string[];
  /** Where its folder is made, such as on a small disk. */
  readonly below?: string;
}

export interface RedisServer extends TestServer {
  readonly port: number;
  readonly folder: string;
}

/**
 * Starts a Redis of its own on a free loopback port, with an append-only file; or answers the one
 * that VSS_TEST_REDIS_URL names, which can't be hurt. Who asks for settings always gets their own.
 */
export async function startRedis(options: RedisOptions = {}): Promise<TestServer> {
  const given = process.env["VSS_TEST_REDIS_URL"];
  if (given !== undefined && given !== "" && Object.keys(options).length === 0) {
    return existingServer(given);
  }
  return startOwnRedis(options);
}

/** As {@link startRedis}, but never another's server: for tests that kill or pause it. */
export async function startOwnRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const folder = await temporaryFolder("redis", options.below);
  try {
    return await startNode(folder, options);
  } catch (error) {
    await removeFolder(folder);
    throw error;
  }
}

async function startNode(
  folder: string,
  options: RedisOptions & { readonly config?: string },
): Promise<RedisServer> {
  const port = await freePort();
  const { appendfsync = "always", args = [], config } = options;
  const place = { bind: "127.0.0.1", port: `${port}`, dir: folder };
  const store = { save: "", appendonly: "yes", appendfsync, "repl-diskless-sync-delay": "0" };
  // A sentinel has a file of its own, which it writes to, and stores nothing else.
  const settings = Object.entries({ ...place, ...(config === undefined ? store : {}) });
  const server = new ServerProcess(
    "redis-server",
    [
      ...(config === undefined ? [] : [config]),
      ...settings.flatMap(([name, value]) => [`--${name}`, value]),
      ...args,
    ],
    join(folder, "redis.log"),
  );
  const start = (): Promise<void> => server.start(() => answersPing(port)).catch(explainMissing);
  await start();
  return {
    url: `redis://127.0.0.1:${port}/0`,
    port,
    folder,
    signal: (name) => server.signal(name),
    get isRunning() {
      return server.isRunning;
    },
    get pids() {
      return [server.pid];
    },
    restart: async () => {
      await server.ended();
      await start();
    },
    stop: async () => {
      await server.kill();
      await removeFolder(folder);
    },
  };
}

function explainMissing(error: unknown): never {
  const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException) : undefined;
  if (cause?.code !== "ENOENT") throw error;
  throw new Error("redis-server is missing: apt-get install redis-server", { cause: error });
}

/** Whether it answers PING at all; also one that wants a password first does, with an error. */
async function answersPing(port: number): Promise<boolean> {
  const reply = await command(port, "PING");
  return reply.startsWith("+PONG") || reply.startsWith("-NOAUTH");
}

/** Sends one inline command; answers the first piece of the reply, or nothing where none comes. */
export async function command(port: number, line: string, timeoutMs = 1000): Promise<string> {
  const socket = createConnection({ host: "127.0.0.1", port });
  // A connection that ends without an error, or is given up, would tell nobody who waits for data.
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    await once(socket, "connect", { signal });
    socket.write(`${line}\r\n`);
    const [data] = (await once(socket, "data", { signal })) as [Buffer];
    return data.toString();
  } catch {
    return "";
  } finally {
    socket.on("error", () => {});
    socket.destroy();
  }
}

function existingServer(url: string): TestServer {
  const refuse = (): never => {
    throw new Error("this server was there before the test, which must not hurt it");
  };
  return { url, signal: refuse, isRunning: true, pids: [], restart: refuse, stop: async () => {} };
}

const SLOT_COUNT = 16_384;
/** A node that does not answer for as long is given up by the one that was to meet it. */
const MEET_EVERY_MS = 3000;
const DEMAND_TIMEOUT_MS = 60_000;

export interface RedisClusterOptions {
  readonly masters: number;
  /** Replicas of each master; none unless told. */
  readonly replicas?: 0 | 1;
  /**
   * Milliseconds after which a node that is silent counts as failed. Without replicas nobody takes over
   * from it, so that on a busy machine a short time would only bring outages.
   */
  readonly nodeTimeoutMs?: number;
}

export interface RedisCluster extends TestServer {
  /** The masters come first, as the cluster was made. */
  readonly nodes: readonly RedisServer[];
}

/**
 * Starts a Redis Cluster on free loopback ports, or answers the one that VSS_TEST_REDIS_CLUSTER_URL
 * names where three masters alone are asked for.
 */
export async function startRedisCluster(options: RedisClusterOptions): Promise<TestServer> {
  const given = process.env["VSS_TEST_REDIS_CLUSTER_URL"];
  const isPlain = options.masters === 3 && (options.replicas ?? 0) === 0;
  if (given !== undefined && given !== "" && isPlain) return existingServer(given);
  return startOwnRedisCluster(options);
}

/** As {@link startRedisCluster}, but never another's cluster. */
export async function startOwnRedisCluster(options: RedisClusterOptions): Promise<RedisCluster> {
  const { masters, replicas = 0 } = options;
  const { nodeTimeoutMs = replicas === 0 ? 30_000 : 2000 } = options;
  const folder = await temporaryFolder("redis-cluster");
  const nodes: RedisServer[] = [];
  const busPorts: number[] = [];
  try {
    for (let index = 0; index < masters * (1 + replicas); index += 1) {
      const own = join(folder, `${index}`);
      await mkdir(own);
      const busPort = await freePort();
      nodes.push(await startNode(own, { args: clusterArgs(busPort, nodeTimeoutMs) }));
      busPorts.push(busPort);
    }
    // Nobody may take over from a node that the machine holds up before the cluster is complete.
    await setNodeTimeout(nodes, DEMAND_TIMEOUT_MS);
    await createCluster(nodes, busPorts, replicas);
    await setNodeTimeout(nodes, nodeTimeoutMs);
  } catch (error) {
    await stopAll(nodes, folder);
    throw error;
  }
  return {
    url: `redis-cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")}`,
    nodes,
    signal: (name) => nodes.forEach((node) => node.signal(name)),
    get isRunning() {
      return nodes.every((node) => node.isRunning);
    },
    get pids() {
      return nodes.flatMap((node) => node.pids);
    },
    restart: async () => {
      await Promise.all(nodes.map((node) => node.restart()));
      await allAgree(nodes);
    },
    stop: () => stopAll(nodes, folder),
  };
}

async function setNodeTimeout(nodes: readonly RedisServer[], ms: number): Promise<void> {
  for (const { port } of nodes) await demand(port, `CONFIG SET cluster-node-timeout ${ms}`);
}

function clusterArgs(busPort: number, nodeTimeoutMs: number): readonly string[] {
  // The bus port is the port plus 10,000 unless told, which may be past the last port.
  const settings = {
    "cluster-enabled": "yes",
    "cluster-port": `${busPort}`,
    "cluster-node-timeout": `${nodeTimeoutMs}`,
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

/**
 * Gives the slots to the masters and has all nodes meet. What `redis-cli --cluster create` does too, but
 * that waits for ever where a node was too busy to answer the first time.
 */
async function createCluster(
  nodes: readonly RedisServer[],
  busPorts: readonly number[],
  replicas: number,
): Promise<void> {
  const masters = nodes.slice(0, nodes.length / (1 + replicas));
  for (const [index, { port }] of masters.entries()) {
    await demand(port, `CLUSTER ADDSLOTS ${slotsOf(index, masters.length).join(" ")}`);
  }
  for (const [index, { port }] of nodes.entries()) {
    await demand(port, `CLUSTER SET-CONFIG-EPOCH ${index + 1}`);
  }
  await introduce(nodes, busPorts);
  for (const [index, { port }] of nodes.slice(masters.length).entries()) {
    const id = await command(masters[index]?.port ?? 0, "CLUSTER MYID", DEMAND_TIMEOUT_MS);
    await demand(port, `CLUSTER REPLICATE ${/\w{40}/.exec(id)?.[0]}`);
  }
  await allAgree(nodes);
  await waitUntil("replicas in step", async () => {
    const infos = await Promise.all(masters.map(({ port }) => command(port, "INFO replication")));
    return infos.every((info) => Number(/connected_slaves:(\d+)/.exec(info)?.[1]) === replicas);
  });
}

function slotsOf(index: number, masters: number): readonly number[] {
  const [first, end] = [index, index + 1].map((i) => Math.floor((i * SLOT_COUNT) / masters));
  return Array.from({ length: (end ?? 0) - (first ?? 0) }, (_, i) => (first ?? 0) + i);
}

/** Has the first node meet the others, again and again until every node has heard of all. */
async function introduce(
  nodes: readonly RedisServer[],
  busPorts: readonly number[],
): Promise<void> {
  let metAt = -Infinity;
  await waitUntil("nodes that know each other", async () => {
    if (performance.now() - metAt > MEET_EVERY_MS) {
      for (const [index, { port }] of nodes.entries()) {
        const meet = `CLUSTER MEET 127.0.0.1 ${port} ${busPorts[index]}`;
        if (index > 0) await demand(nodes[0]?.port ?? 0, meet);
      }
      metAt = performance.now();
    }
    return areKnown(nodes);
  });
}

/** Sends a command that has to be answered with OK. */
async function demand(port: number, line: string): Promise<void> {
  const reply = await command(port, line, DEMAND_TIMEOUT_MS);
  if (!reply.startsWith("+OK")) throw new Error(`${line.slice(0, 60)}: ${reply}`);
}

/** Whether every node knows all the others by their names, which it learns when it has met them. */
async function areKnown(nodes: readonly RedisServer[]): Promise<boolean> {
  const lists = await Promise.all(nodes.map(({ port }) => command(port, "CLUSTER NODES")));
  return lists.every(
    (list) =>
      list.match(/^\w{40} /gm)?.length === nodes.length && !/^\S+ \S+ \S*handshake/m.test(list),
  );
}

async function allAgree(nodes: readonly RedisServer[]): Promise<void> {
  await waitUntil("a cluster that all nodes agree on", async () => {
    const infos = await Promise.all(nodes.map(({ port }) => command(port, "CLUSTER INFO")));
    return infos.every((info) => info.includes("cluster_state:ok")) && areKnown(nodes);
  });
}

export interface RedisSentinel extends TestServer {
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  readonly sentinels: readonly RedisServer[];
}

/** The name under which the sentinels know their master. */
export const MASTER_NAME = "vss-master";

/** Starts a primary, a replica and three sentinels, two of which decide on a failover. */
export async function startRedisSentinel(downAfterMs = 1000): Promise<RedisSentinel> {
  const folder = await temporaryFolder("redis-sentinel");
  const nodes: RedisServer[] = [];
  try {
    const own = (name: string): string => join(folder, name);
    for (const name of ["primary", "replica", "one", "two", "three"]) await mkdir(own(name));
    const primary = await startNode(own("primary"), {});
    nodes.push(primary);
    const replica = await startNode(own("replica"), {
      args: ["--replicaof", "127.0.0.1", `${primary.port}`],
    });
    nodes.push(replica);
    for (const name of ["one", "two", "three"]) {
      nodes.push(await startSentinelNode(own(name), primary.port));
    }
    const sentinels = nodes.slice(2);
    await waitUntil("sentinels that know each other and the replica", async () => {
      const lines = `SENTINEL MASTER ${MASTER_NAME}`;
      const infos = await Promise.all(sentinels.map(({ port }) => command(port, lines)));
      return infos.every(
        (info) =>
          /num-slaves\r\n\$1\r\n1\r/.test(info) && /num-other-sentinels\r\n\$1\r\n2\r/.test(info),
      );
    });
    const downAfter = `SENTINEL SET ${MASTER_NAME} down-after-milliseconds ${downAfterMs}`;
    for (const { port } of sentinels) await demand(port, downAfter);
    return {
      url: `redis-sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(",")}/${MASTER_NAME}`,
      primary,
      replica,
      sentinels,
      signal: (name) => nodes.forEach((node) => node.signal(name)),
      get isRunning() {
        return nodes.every((node) => node.isRunning);
      },
      get pids() {
        return nodes.flatMap((node) => node.pids);
      },
      restart: async () => {
        await Promise.all(nodes.map((node) => node.restart()));
      },
      stop: () => stopAll(nodes, folder),
    };
  } catch (error) {
    await stopAll(nodes, folder);
    throw error;
  }
}

/** At first it takes nobody for gone: what the machine holds up must not cost the primary its place. */
async function startSentinelNode(folder: string, primaryPort: number): Promise<RedisServer> {
  const config = join(folder, "sentinel.conf");
  const lines = [
    "bind 127.0.0.1",
    `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${primaryPort} 2`,
    `sentinel down-after-milliseconds ${MASTER_NAME} ${DEMAND_TIMEOUT_MS}`,
    `sentinel failover-timeout ${MASTER_NAME} 5000`,
  ];
  await writeFile(config, `${lines.join("\n")}\n`);
  return startNode(folder, { config, args: ["--sentinel"] });
}

async function stopAll(nodes: readonly RedisServer[], folder: string): Promise<void> {
  await Promise.all(nodes.map((node) => node.stop()));
  await removeFolder(folder);
}
