import { join } from "node:path";
import { freePort, removeFolder, temporaryFolder } from "../../test/servers/process.ts";
import { startNaive } from "../naive/start.ts";
import { startProgram, stopProgram, type Contender } from "./contender.ts";

/** NATS JetStream's key-value bucket, with its own client, behind a Fastify server as it has no HTTP. */
export async function startNats(): Promise<Contender> {
  const folder = await temporaryFolder("bench-nats");
  const port = await freePort();
  const flags = ["--addr", "127.0.0.1", "--port", `${port}`, "--jetstream"];
  const store = ["--store_dir", join(folder, "data"), "--log", join(folder, "log")];
  const server = await startProgram(["nats-server", ...flags, ...store], port);
  const stopServer = async (): Promise<void> => {
    await stopProgram(server);
    await removeFolder(folder);
  };
  try {
    const front = await startNaive("nats", `nats://127.0.0.1:${port}`);
    return {
      ...front,
      name: "nats",
      // Its numbers are the bucket's, and it keeps 64 versions: a history of 1,000 can't be had.
      surface: { ...front.surface, getVersion: undefined, count: undefined },
      stop: async () => {
        await front.stop();
        await stopServer();
      },
    };
  } catch (error) {
    await stopServer();
    throw error;
  }
}
