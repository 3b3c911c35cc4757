import { join } from "node:path";
import { freePort } from "../../test/servers/process.ts";
import {
  nodeProgram,
  pidOf,
  startProgram,
  stopProgram,
  type Contender,
} from "../peers/contender.ts";
import { FOUR_ROUTES } from "../peers/ours.ts";

/** Starts the server written by hand for a back end: `bench/naive/<product>.ts`. */
export async function startNaive(
  product: "sqlite" | "redis" | "mysql" | "mongodb" | "nats",
  url: string,
): Promise<Contender> {
  const port = await freePort();
  const child = await startProgram(
    nodeProgram(join(import.meta.dirname, `${product}.ts`), [`${port}`, url]),
    port,
  );
  return {
    name: "naive",
    port,
    pid: pidOf(child),
    surface: { ...FOUR_ROUTES, isOurs: false, isCanned: false },
    stop: () => stopProgram(child),
  };
}
