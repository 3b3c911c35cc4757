import { join } from "node:path";

import { startMariadb } from "../servers/mariadb.ts";
import { startMongodb } from "../servers/mongodb.ts";
import { removeFolder, temporaryFolder } from "../servers/process.ts";
import { startOwnRedis } from "../servers/redis.ts";
import { Proxy } from "./proxy.ts";

/** A back end under test, reached through a proxy where it is a server. */
export interface BackEnd {
  readonly name: BackEndName;
  readonly url: string;
  readonly hasFeed: boolean;
  /** Undefined for an embedded store, which has no connections and no process of its own. */
  readonly server: HurtableServer | undefined;
  stop(): Promise<void>;
}

export interface HurtableServer {
  readonly proxy: Proxy;
  signal(name: NodeJS.Signals): void;
  /** Starts it again over the same data, once it has ended. */
  restart(): Promise<void>;
}

export const BACK_END_NAMES = [
  "sqlite",
  "redis",
  "mariadb",
  "mongodb",
  "mongodb-replica-set",
] as const;

export type BackEndName = (typeof BACK_END_NAMES)[number];

/** Starts one with durable settings. */
export async function startBackEnd(name: BackEndName): Promise<BackEnd> {
  switch (name) {
    case "sqlite": {
      const folder = await temporaryFolder("faults");
      return {
        name,
        url: `sqlite:${join(folder, "state.db")}`,
        hasFeed: true,
        server: undefined,
        stop: () => removeFolder(folder),
      };
    }
    case "redis":
      return behindProxy(name, await startOwnRedis({ appendfsync: "always" }));
    case "mariadb":
      return behindProxy(name, await startMariadb({ args: ["--sync-binlog=1"] }));
    case "mongodb":
      return behindProxy(name, await startMongodb());
    case "mongodb-replica-set":
      return behindProxy(name, await startMongodb({ replicaSet: true }));
  }
}

async function behindProxy(
  name: BackEndName,
  server: Awaited<ReturnType<typeof startMariadb>>,
): Promise<BackEnd> {
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
      restart: () => server.restart(),
    },
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
