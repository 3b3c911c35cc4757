import { createClient } from "redis";
import { naiveArguments, serveNaive } from "./http.ts";

/** RPUSH answers the length of the list, which is the version; LINDEX reads one. */
const { port, url } = naiveArguments();
const client = createClient({ url });
await client.connect();

await serveNaive(
  {
    put: (key, value) => client.rPush(`naive:${key}`, value),
    get: async (key) => {
      const [value, version] = await Promise.all([
        client.lIndex(`naive:${key}`, -1),
        client.lLen(`naive:${key}`),
      ]);
      return value === null ? undefined : { value, version };
    },
    getVersion: async (key, version) => {
      const value = await client.lIndex(`naive:${key}`, version - 1);
      return value === null ? undefined : { value, version };
    },
  },
  port,
);
