import { join } from "node:path";
import { freePort, removeFolder, temporaryFolder } from "../../test/servers/process.ts";
import { post, type WireRequest } from "../loads/wire.ts";
import {
  answersOk,
  pidOf,
  startProgram,
  stopProgram,
  type Contender,
  type Surface,
} from "./contender.ts";

interface RangeAnswer {
  readonly kvs?: readonly { readonly value: string; readonly version: string }[];
}

const SURFACE: Surface = {
  put: (key, value) => post("/v3/kv/put", { key: toBase64(key), value: toBase64(value) }),
  get: range,
  // A version is read by the store's revision at the time, which the answer to its put names.
  getVersion: (key, revision) =>
    post("/v3/kv/range", { key: toBase64(key), revision: `${revision}` }),
  readValue: (body) => Buffer.from(firstOf(body).value, "base64").toString("utf8"),
  readPut: (body) =>
    Number(
      (JSON.parse(body) as { readonly header: { readonly revision: string } }).header.revision,
    ),
  count: { ask: range, read: (body) => Number(firstOf(body).version) },
  isOurs: false,
  isCanned: false,
};

function range(key: string): WireRequest {
  return post("/v3/kv/range", { key: toBase64(key) });
}

function firstOf(body: string): { readonly value: string; readonly version: string } {
  const first = (JSON.parse(body) as RangeAnswer).kvs?.[0];
  if (first === undefined) throw new Error(`etcd has no such key: ${body}`);
  return first;
}

function toBase64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** One member, asked through the JSON gateway that it brings along. */
export async function startEtcd(): Promise<Contender> {
  const folder = await temporaryFolder("bench-etcd");
  const [port, peerPort] = [await freePort(), await freePort()];
  const [client, peer] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`];
  const args = {
    "data-dir": join(folder, "data"),
    "listen-client-urls": client,
    "advertise-client-urls": client,
    "listen-peer-urls": peer,
    "initial-advertise-peer-urls": peer,
    "initial-cluster": `default=${peer}`,
    "log-level": "error",
  };
  const flags = Object.entries(args).map(([name, value]) => `--${name}=${value}`);
  const child = await startProgram(["etcd", ...flags], port, {
    // Before it has been elected, it takes connections and refuses writes.
    isUp: () => answersOk(port, SURFACE.put("start", "x")),
  });
  return {
    name: "etcd",
    port,
    pid: pidOf(child),
    surface: SURFACE,
    stop: async () => {
      await stopProgram(child);
      await removeFolder(folder);
    },
  };
}
