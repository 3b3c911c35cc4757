import { join } from "node:path";
import { startMariadb } from "../test/servers/mariadb.ts";
import { startMongodb } from "../test/servers/mongodb.ts";
import { freePort, removeFolder, ServerProcess, temporaryFolder } from "../test/servers/process.ts";
import { startNaive } from "./naive/start.ts";
import type { StoreName } from "./options.ts";
import { takesConnections, type Contender } from "./peers/contender.ts";

/** A back end that runs, and what is measured over it. */
export interface BackEnd {
  /** What decides how durable its writes are. */
  readonly settings: string;
  /** The URL for our server; each call names a fresh place in the back end. */
  readonly storeUrl: () => string;
  /** Starts the servers that are measured beside ours. */
  readonly others: () => Promise<readonly Contender[]>;
  stop(): Promise<void>;
}

export const START_BACK_END: Readonly<Record<StoreName, () => Promise<BackEnd>>> = {
  memory: async () => ({
    settings: "nothing outlives the process",
    storeUrl: () => "memory:",
    others: async () => [],
    stop: async () => {},
  }),

  sqlite: async () => {
    const folder = await temporaryFolder("bench-sqlite");
    return {
      settings: "WAL, synchronous=FULL: on disk before the answer",
      storeUrl: numbered((number) => `sqlite:${join(folder, `state-${number}.db`)}`),
      others: async () => [await startNaive("sqlite", join(folder, "naive.db"))],
      stop: () => removeFolder(folder),
    };
  },

  redis: async () => {
    const server = await startRedis();
    return {
      settings: "appendonly yes, appendfsync always: on disk before the answer",
      storeUrl: numbered((number) => `${server.url}/0?prefix=bench${number}`),
      others: async () => [await startNaive("redis", server.url)],
      stop: () => server.stop(),
    };
  },

  mariadb: async () => {
    const server = await startMariadb({
      args: ["--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M"],
    });
    return {
      settings: "innodb_flush_log_at_trx_commit=1, no binary log: on disk before the answer",
      storeUrl: numbered((number) => `${server.url}?prefix=bench${number}_`),
      others: async () => [await startNaive("mysql", await withDatabase(server.url))],
      stop: () => server.stop(),
    };
  },

  mongodb: async () => {
    const server = await startMongodb({ replicaSet: true });
    return {
      settings: "replica set of one, w: majority, journaled: on disk before the answer",
      storeUrl: numbered((number) => `${server.url}?prefix=bench${number}`),
      others: async () => [await startNaive("mongodb", server.url)],
      stop: () => server.stop(),
    };
  },
};

function numbered(url: (number: number) => string): () => string {
  let number = 0;
  return () => {
    number += 1;
    return url(number);
  };
}

/** A Redis that flushes its log to disk before every answer. */
async function startRedis(): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const folder = await temporaryFolder("bench-redis");
  const port = await freePort();
  const settings = {
    port: `${port}`,
    bind: "127.0.0.1",
    dir: folder,
    save: "",
    appendonly: "yes",
    appendfsync: "always",
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const server = new ServerProcess("redis-server", args, join(folder, "redis.log"));
  await server.start(() => takesConnections(port));
  const stop = async (): Promise<void> => {
    await server.kill();
    await removeFolder(folder);
  };
  return { url: `redis://127.0.0.1:${port}`, stop };
}

/** The server written by hand makes its tables, but not its database. */
async function withDatabase(url: string): Promise<string> {
  const { createConnection } = await import("mysql2/promise");
  const at = new URL(url);
  const database = at.pathname.slice(1);
  at.pathname = "/";
  const connection = await createConnection(at.href);
  try {
    await connection.query(`CREATE DATABASE IF NOT EXISTS \`${database}\``);
  } finally {
    await connection.end();
  }
  return url;
}
