import { execFile } from "node:child_process";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import {
  freePort,
  removeFolder,
  ServerProcess,
  temporaryFolder,
  waitUntil,
  type TestServer,
} from "./process.ts";

const run = promisify(execFile);

/** Debian's package galera-4 puts it there. */
export const PROVIDER = "/usr/lib/galera/libgalera_smm.so";
const USER = "vss";
const PASSWORD = "test-password";

const SETTINGS: readonly string[] = [
  "--bind-address=127.0.0.1",
  "--skip-name-resolve",
  "--innodb-buffer-pool-size=64M",
  "--innodb-log-file-size=64M",
  "--innodb-flush-log-at-trx-commit=1",
  "--innodb-autoinc-lock-mode=2",
  "--binlog-format=ROW",
  "--performance-schema=off",
  "--wsrep-on=ON",
  `--wsrep-provider=${PROVIDER}`,
  "--wsrep-cluster-name=vss",
  "--wsrep-node-address=127.0.0.1",
  "--wsrep-sst-method=rsync",
];

export interface GaleraCluster extends TestServer {
  readonly nodes: readonly GaleraNode[];
}

/**
 * Starts three nodes of Galera on free loopback ports. The second and third begin with a copy of the
 * first one's data. The tool that passes on missed writes refuses to work for root, so that root
 * starts them as the user that Debian's package made.
 */
export async function startGalera(): Promise<GaleraCluster> {
  const folder = await temporaryFolder("galera");
  const nodes: GaleraNode[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.kill()));
    await removeFolder(folder);
  };
  try {
    const user = process.getuid?.() === 0 ? ["--user=mysql"] : [];
    if (user.length > 0) await run("chown", ["mysql", folder]);
    for (const name of ["0", "1", "2"]) nodes.push(await GaleraNode.create(folder, name, user));
    await startAll(nodes);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: nodes[0]?.url ?? "",
    nodes,
    signal: (name) => nodes.forEach((node) => node.signal(name)),
    get isRunning() {
      return nodes.every((node) => node.isRunning);
    },
    get pids() {
      return nodes.map((node) => node.pid);
    },
    restart: () => startTogether(nodes),
    stop,
  };
}

async function startAll(nodes: readonly GaleraNode[]): Promise<void> {
  const [first, ...others] = nodes;
  if (first === undefined) throw new Error("a cluster has nodes");
  await first.install();
  await first.start([], ["--wsrep-new-cluster"]);
  await first.query("CREATE DATABASE vss");
  await first.query(`CREATE USER '${USER}'@'%' IDENTIFIED BY '${PASSWORD}'`);
  await first.query(`GRANT ALL ON *.* TO '${USER}'@'%' WITH GRANT OPTION`);
  await first.shutDown();
  for (const other of others) await other.copyFrom(first);
  await startTogether(nodes);
}

/** The first one begins the cluster anew, and the others join it. */
async function startTogether([first, ...others]: readonly GaleraNode[]): Promise<void> {
  if (first === undefined) return;
  await first.start([], ["--wsrep-new-cluster"]);
  for (const other of others) await other.start([first], []);
}

/** One node, whose ports and data stay the same over restarts. */
export class GaleraNode {
  readonly url: string;
  readonly port: number;
  readonly #folder: string;
  readonly #args: readonly string[];
  readonly #address: string;
  #process: ServerProcess | undefined;

  private constructor(
    folder: string,
    place: { readonly port: number; readonly groupPort: number },
    args: readonly string[],
  ) {
    this.#folder = folder;
    this.port = place.port;
    this.#address = `127.0.0.1:${place.groupPort}`;
    this.#args = args;
    this.url = `mysql://${USER}:${PASSWORD}@127.0.0.1:${place.port}/vss`;
  }

  static async create(below: string, name: string, user: readonly string[]): Promise<GaleraNode> {
    const folder = join(below, name);
    await mkdir(folder);
    if (user.length > 0) await run("chown", ["mysql", folder]);
    const [port, groupPort, missedPort, copyPort] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    const provider = {
      "gcache.size": "64M",
      "gmcast.listen_addr": `tcp://127.0.0.1:${groupPort}`,
      "ist.recv_addr": `127.0.0.1:${missedPort}`,
      base_host: "127.0.0.1",
    };
    const pairs = Object.entries(provider).map(([option, value]) => `${option}=${value}`);
    return new GaleraNode(folder, { port, groupPort }, [
      "--no-defaults",
      ...user,
      `--datadir=${join(folder, "data")}`,
      // A server that starts removes what it takes for its own leftovers, also those of its neighbours.
      `--tmpdir=${folder}`,
      `--socket=${join(folder, "socket")}`,
      `--pid-file=${join(folder, "pid")}`,
      `--port=${port}`,
      ...SETTINGS,
      `--wsrep-node-name=node-${name}`,
      `--wsrep-sst-receive-address=127.0.0.1:${copyPort}`,
      `--wsrep-provider-options=${pairs.join(";")}`,
    ]);
  }

  get pid(): number {
    if (this.#process === undefined) throw new Error("the node was never started");
    return this.#process.pid;
  }

  get isRunning(): boolean {
    return this.#process?.isRunning ?? false;
  }

  signal(name: NodeJS.Signals): void {
    this.#process?.signal(name);
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  async install(): Promise<void> {
    const own = this.#args.filter((arg) =>
      /^--(?:no-defaults|user|datadir|tmpdir|innodb-log)/.test(arg),
    );
    const plain = ["--auth-root-authentication-method=normal", "--skip-test-db"];
    await run("mariadb-install-db", [...own, ...plain, "--skip-name-resolve"]);
  }

  /** Takes another's data, which has to be shut down: then it need not be sent all of it. */
  async copyFrom(other: GaleraNode): Promise<void> {
    const data = join(this.#folder, "data");
    await cp(join(other.#folder, "data"), data, { recursive: true });
    for (const name of ["galera.cache", "gvwstate.dat"])
      await rm(join(data, name), { force: true });
    await run("chown", ["--reference", join(other.#folder, "data"), "--recursive", data]);
  }

  /** Answers when it is in step with the others. */
  async start(others: readonly GaleraNode[], more: readonly string[]): Promise<void> {
    const peers = others.map((other) => other.#address).join(",");
    const args = [...this.#args, `--wsrep-cluster-address=gcomm://${peers}`, ...more];
    this.#process = new ServerProcess("mariadbd", args, join(this.#folder, "log"));
    await this.#process.start(async () => (await this.clusterSize()) > 0);
  }

  /** Starts it after a kill: where it stood has to be read from its own log first. */
  async restart(others: readonly GaleraNode[]): Promise<void> {
    await this.#process?.ended();
    const log = join(this.#folder, "recovery.log");
    const recover = ["--wsrep-cluster-address=gcomm://", "--wsrep-recover", `--log-error=${log}`];
    await writeFile(log, "");
    await run("chown", ["--reference", join(this.#folder, "data"), log]);
    await run("mariadbd", [...this.#args, ...recover]);
    const text = await readFile(log, "utf8");
    const [, position] = /Recovered position:\s*([\w-]+:-?\d+)/.exec(text) ?? [];
    if (position === undefined) throw new Error(`no position to go on from:\n${text.slice(-2000)}`);
    await this.start(others, [`--wsrep-start-position=${position}`]);
  }

  async shutDown(): Promise<void> {
    await this.query("SHUTDOWN");
    await this.#process?.ended();
  }

  /** Nodes in the cluster as this one sees it; 0 while it serves nobody. */
  async clusterSize(): Promise<number> {
    try {
      const rows = await this.query(
        "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_size', 'wsrep_ready')",
      );
      const status = new Map(rows.map((row) => [row["Variable_name"], row["Value"]]));
      return status.get("wsrep_ready") === "ON" ? Number(status.get("wsrep_cluster_size")) : 0;
    } catch {
      return 0;
    }
  }

  /** Asks as root over the socket. */
  async query(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const { createConnection } = await import("mysql2/promise");
    const socketPath = join(this.#folder, "socket");
    const connection = await createConnection({ socketPath, user: "root", connectTimeout: 2_000 });
    try {
      const [rows] = await connection.query(sql);
      return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
    } finally {
      connection.destroy();
    }
  }
}

/** Waits until the other nodes have agreed to go on without this one. */
export async function untilWithout(
  node: GaleraNode,
  others: readonly GaleraNode[],
): Promise<GaleraNode> {
  const [next] = others.filter((other) => other !== node);
  if (next === undefined) throw new Error("there is no other node");
  await waitUntil(
    "a cluster of the other nodes",
    async () => (await next.clusterSize()) === others.filter((other) => other !== node).length,
  );
  return next;
}
