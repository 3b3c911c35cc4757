import { join } from "node:path";
import { freePort } from "../../test/servers/process.ts";
import { get, put } from "../loads/wire.ts";
import {
  answersOk,
  nodeProgram,
  pidOf,
  startProgram,
  stopProgram,
  type Contender,
  type ContenderName,
  type Surface,
} from "./contender.ts";

const ROOT = join(import.meta.dirname, "..", "..");

export interface OursOptions {
  readonly storeUrl: string;
  readonly name?: ContenderName;
  /** Another checkout of this repository. */
  readonly root?: string;
  readonly args?: readonly string[];
}

/** The four routes: our own server's, and those of the servers written by hand. */
export const FOUR_ROUTES: Omit<Surface, "isOurs" | "isCanned"> = {
  put: (key, value) => put(`/${key}`, value),
  get: (key) => get(`/${key}`),
  getVersion: (key, version) => get(`/${key}/${version}`),
  readValue: (body) => (JSON.parse(body) as { readonly value: string }).value,
  readPut: readVersion,
  count: { ask: (key) => get(`/${key}`), read: readVersion },
};

export const OUR_SURFACE: Surface = { ...FOUR_ROUTES, isOurs: true, isCanned: false };

function readVersion(body: string): number {
  return (JSON.parse(body) as { readonly version: number }).version;
}

/** Starts this server as `npm start` would, in a process of its own. */
export async function startOurs(options: OursOptions): Promise<Contender> {
  const { storeUrl, name = "ours", root = ROOT, args = [] } = options;
  const port = await freePort();
  const flags = ["--store", storeUrl, "--port", `${port}`, "--log-level", "warn", ...args];
  const program = nodeProgram(join(root, "src", "cli", "main.ts"), flags);
  const child = await startProgram(program, port, {
    cwd: root,
    // It tries its port before it opens its store, so that a connection means nothing yet.
    isUp: () => answersOk(port, get("/-/livez")),
  });
  return {
    name,
    port,
    pid: pidOf(child),
    surface: OUR_SURFACE,
    stop: () => stopProgram(child),
  };
}
