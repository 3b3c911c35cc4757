import { parseArgs } from "node:util";

import { createServer } from "../../src/http/server.ts";
import { open } from "../../src/index.ts";

/** A server that takes few requests at a time, which no setting of the command line makes it do. */
const { values } = parseArgs({
  allowPositionals: true,
  options: {
    store: { type: "string", default: "memory:" },
    port: { type: "string", default: "0" },
    "in-flight-max": { type: "string", default: "100" },
  },
});

const state = await open(values.store);
const limits = { inFlightMax: Number(values["in-flight-max"]) };
const server = await createServer(state, { limits });
await server.listen({ port: Number(values.port) });
