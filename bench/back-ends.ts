import { join } from "node:path";
import { startMariadb } from "../test/servers/mariadb.ts";
import { startMongodb } from "../test/servers/mongodb.ts";
import { removeFolder, temporaryFolder } from "../test/servers/process.ts";
import { startOwnRedis } from "../test/servers/redis.ts";
import { startNaive } from "./naive/start.ts";
import type { StoreName } from "./options.ts";
import { startEtcd } from "./peers/etcd.ts";
import { startNats } from "./peers/nats.ts";
import { folderBytes, mariadbBytes, mongodbBytes, redisBytes } from "./measure/stored-bytes.ts";
import type { Contender } from "./peers/contender.ts";
import { startWebdis } from "./peers/webdis.ts";

/** What is measured in turns: a store with all that runs over its back end, or peers by themselves. */
export type GroupName = StoreName | "peers";

/** A back end that runs, and what is measured over it. */
export interface BackEnd {
  /** What decides how durable its writes are. */
  readonly settings: string;
  /** The URL for our server; each call names a fresh place in the back end. */
  readonly storeUrl: () => string;
  /** Starts the servers that are measured beside ours. */
  readonly others: readonly (() => Promise<Contender>)[];
  /** What all its data takes, in bytes; undefined where that is memory of our own process. */
  readonly storedBytes: (() => Promise<number>) | undefined;
  stop(): Promise<void>;
}

export const START_BACK_END: Readonly<Record<GroupName, () => Promise<BackEnd>>> = {
  memory: async () => ({
    settings: "nothing outlives the process",
    storeUrl: () => "memory:",
    others: [],
    storedBytes: undefined,
    stop: async () => {},
  }),

  sqlite: async () => {
    const folder = await temporaryFolder("bench-sqlite");
    return {
      settings: "WAL, synchronous=FULL: on disk before the answer",
      storeUrl: numbered((number) => `sqlite:${join(folder, `state-${number}.db`)}`),
      others: [() => startNaive("sqlite", join(folder, "naive.db"))],
      storedBytes: () => folderBytes(folder),
      stop: () => removeFolder(folder),
    };
  },

  redis: async () => {
    const server = await startOwnRedis({ appendfsync: "always" });
    return {
      settings: "appendonly yes, appendfsync always: on disk before the answer",
      storeUrl: numbered((number) => `${server.url}?prefix=bench${number}`),
      others: [() => startNaive("redis", server.url), () => startWebdis(server.url)],
      storedBytes: () => redisBytes(server.url),
      stop: () => server.stop(),
    };
  },

  mariadb: async () => {
    const server = await startMariadb({
      args: ["--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M"],
    });
    return {
      settings:
        "innodb_flush_log_at_trx_commit=1, no binary log: on disk before the answer; buffer pool of 512 MiB",
      storeUrl: numbered((number) => `${server.url}?prefix=bench${number}_`),
      others: [async () => startNaive("mysql", await withDatabase(server.url))],
      storedBytes: () => mariadbBytes(server.url),
      stop: () => server.stop(),
    };
  },

  mongodb: async () => {
    const server = await startMongodb({ replicaSet: true, cacheGiB: 1 });
    return {
      settings:
        "replica set of one, w: majority, journaled: on disk before the answer; cache of 1 GiB",
      storeUrl: numbered((number) => `${server.url}?prefix=bench${number}`),
      others: [() => startNaive("mongodb", server.url)],
      storedBytes: () => mongodbBytes(server.url),
      stop: () => server.stop(),
    };
  },

  // Our server is there over memory, for the bytes that the bare server answers.
  peers: async () => ({
    settings: "etcd: on disk before the answer; NATS: on disk within two minutes of it",
    storeUrl: () => "memory:",
    others: [startEtcd, startNats],
    storedBytes: undefined,
    stop: async () => {},
  }),
};

function numbered(url: (number: number) => string): () => string {
  let number = 0;
  return () => {
    number += 1;
    return url(number);
  };
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
