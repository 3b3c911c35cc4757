import { join } from "node:path";

import { startMariadb } from "../servers/mariadb.ts";
import { startMongodb } from "../servers/mongodb.ts";
import { removeFolder, temporaryFolder, type TestServer } from "../servers/process.ts";
import { startOwnRedis } from "../servers/redis.ts";
import { GROUP_NAMES, startGroup, type Group, type GroupName } from "./groups.ts";
import { Proxy } from "./proxy.ts";

/** A back end under test. */
export interface BackEnd {
  readonly name: BackEndName;
  readonly url: string;
  readonly hasFeed: boolean;
  /** One server behind a proxy; undefined for an embedded store, and for several nodes. */
  readonly server: HurtableServer | undefined;
  /** Several nodes, which the store reaches without a proxy. */
  readonly group: Group | undefined;
  stop(): Promise<void>;
}

export interface HurtableServer extends Omit<TestServer, "url" | "stop"> {
  readonly proxy: Proxy;
}

export const EMBEDDED_NAMES = ["sqlite"] as const;
export const SERVER_NAMES = ["redis", "mariadb", "mongodb", "mongodb-replica-set"] as const;

export type ServerName = (typeof SERVER_NAMES)[number];
export type BackEndName = (typeof EMBEDDED_NAMES)[number] | ServerName | GroupName;

export const BACK_END_NAMES: readonly BackEndName[] = [
  ...EMBEDDED_NAMES,
  ...SERVER_NAMES,
  ...GROUP_NAMES,
];

function isServer(name: BackEndName): name is ServerName {
  return (SERVER_NAMES as readonly string[]).includes(name);
}

/** Starts one with durable settings; `below` is where its data goes. */
export async function startBackEnd(name: BackEndName, below?: string): Promise<BackEnd> {
  if (isServer(name)) return behindProxy(name, await startServer(name, below));
  if (name !== "sqlite") {
    const group = await startGroup(name);
    const { url } = group;
    return { name, url, hasFeed: true, server: undefined, group, stop: () => group.stop() };
  }
  const folder = await temporaryFolder("faults", below);
  return {
    name,
    url: `sqlite:${join(folder, "state.db")}`,
    hasFeed: true,
    server: undefined,
    group: undefined,
    stop: () => removeFolder(folder),
  };
}

function startServer(name: ServerName, below: string | undefined): Promise<TestServer> {
  const place = below === undefined ? {} : { below };
  switch (name) {
    case "redis":
      return startOwnRedis({ appendfsync: "always", ...place });
    case "mariadb":
      return startMariadb({ args: ["--sync-binlog=1"], ...place });
    case "mongodb":
      return startMongodb(place);
    case "mongodb-replica-set":
      return startMongodb({ replicaSet: true, ...place });
  }
}

async function behindProxy(name: ServerName, server: TestServer): Promise<BackEnd> {
  const [, port] = /:(\d+)\b/.exec(server.url.replace(/^[^@]*@/, "")) ?? [];
  if (port === undefined) throw new Error(`no port in the URL of ${name}`);
  const proxy = await Proxy.start(Number(port));
  const proxied = server.url.replace(`:${port}`, `:${proxy.port}`);
  return {
    name,
    // A driver that asks a replica set for its members would go around the proxy.
    url: name.startsWith("mongodb") ? directly(proxied) : proxied,
    hasFeed: name !== "mongodb",
    server: {
      proxy,
      signal: (signal) => server.signal(signal),
      get isRunning() {
        return server.isRunning;
      },
      get pids() {
        return server.pids;
      },
      restart: () => server.restart(),
    },
    group: undefined,
    stop: async () => {
      await proxy.stop();
      await server.stop();
    },
  };
}

function directly(url: string): string {
  const parsed = new URL(url);
  parsed.searchParams.delete("replicaSet");
  parsed.searchParams.set("directConnection", "true");
  return parsed.href;
}
