import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort, removeFolder, temporaryFolder } from "../../test/servers/process.ts";
import { get, put } from "../loads/wire.ts";
import { pidOf, startProgram, stopProgram, type Contender, type Surface } from "./contender.ts";

const SURFACE: Surface = {
  put: (key, value) => put(`/RPUSH/webdis-${key}`, value),
  get: (key) => get(`/LINDEX/webdis-${key}/-1`),
  getVersion: (key, version) => get(`/LINDEX/webdis-${key}/${version - 1}`),
  readValue: (body) => (JSON.parse(body) as { readonly LINDEX: string }).LINDEX,
  readPut: (body) => (JSON.parse(body) as { readonly RPUSH: number }).RPUSH,
  count: {
    ask: (key) => get(`/LLEN/webdis-${key}`),
    read: (body) => (JSON.parse(body) as { readonly LLEN: number }).LLEN,
  },
  isOurs: false,
  isCanned: false,
};

/** A C program that passes HTTP on to Redis, one command per request: lists stand for histories. */
export async function startWebdis(redisUrl: string): Promise<Contender> {
  const folder = await temporaryFolder("bench-webdis");
  const port = await freePort();
  const redis = new URL(redisUrl);
  const settings = {
    redis_host: redis.hostname,
    redis_port: Number(redis.port),
    http_host: "127.0.0.1",
    http_port: port,
    threads: 2,
    pool_size: 20,
    daemonize: false,
    pidfile: join(folder, "pid"),
    verbosity: 0,
    logfile: join(folder, "log"),
  };
  const file = join(folder, "webdis.json");
  await writeFile(file, JSON.stringify(settings));
  const child = await startProgram(["webdis", file], port, { cwd: folder });
  return {
    name: "webdis",
    port,
    pid: pidOf(child),
    surface: SURFACE,
    stop: async () => {
      await stopProgram(child);
      await removeFolder(folder);
    },
  };
}
