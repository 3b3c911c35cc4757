import { after } from "node:test";
import { StateClient } from "../../src/client/index.ts";
import type { Open, StoreFacts } from "../../src/conformance/facts.ts";
import {
  httpConformance,
  stateConformance,
  storeConformance,
} from "../../src/conformance/index.ts";
import { storeOptions } from "../../src/conformance/context.ts";
import { createServer, type HttpServer } from "../../src/http/server.ts";
import { FEED_RETENTION_MS_DEFAULT, VALUE_BYTES_DEFAULT } from "../../src/limits.ts";
import { VersionedState } from "../../src/state/versioned-state.ts";
import { openStore } from "../../src/stores/index.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { modelRun } from "../model/run.ts";

/** Each step waits for a back end that waits for its disk. */
const MODEL_STEPS = 600;

/** A case makes a thousand calls at once, which a busy machine takes a minute for. */
const CALL_TIMEOUT_MS = 120_000;

export interface Suites extends StoreFacts {
  readonly name: string;
  /** Answers the URL of a new, empty store on every call. */
  readonly url: () => string;
}

/** Runs every suite on one kind of store: its own, the model's, the engine's, the client's, HTTP's. */
export function runSuites(suites: Suites): void {
  storeConformance({ ...suites, openStore });
  modelRun({ ...suites, openStore, steps: MODEL_STEPS });
  runStateSuites(suites, openStore);
}

/** The suites over the engine and over two servers, for stores that are opened in their own way. */
export function runStateSuites(suites: Suites, openAny: Open): void {
  const engineUrl = suites.url();
  stateConformance({ ...suites, open: () => openState(openAny, engineUrl) });

  const servedUrl = suites.url();
  const servers = new Map<number, Promise<Served>>();
  const address = async (turn: number): Promise<string> => {
    const served = servers.get(turn) ?? openState(openAny, servedUrl).then(serve);
    servers.set(turn, served);
    const { port } = await served;
    return `http://127.0.0.1:${port}`;
  };
  let clients = 0;
  stateConformance({
    ...suites,
    name: `${suites.name} through the client`,
    open: async () => {
      clients += 1;
      return new StateClient({ url: await address(clients % 2), timeoutMs: CALL_TIMEOUT_MS });
    },
  });
  httpConformance({ name: `a server over ${suites.name}`, url: () => address(0) });
  after(async () => {
    for (const { server, state } of await Promise.all(servers.values())) {
      await server.close(0);
      await state.close();
    }
  });
}

/** Opens an engine over a store, with the limits that a server has unless told. */
export async function openState(openAny: Open, url: string): Promise<VersionedState> {
  const options = {
    ...storeOptions(systemClock),
    maxValueBytes: VALUE_BYTES_DEFAULT,
    feedRetentionMs: FEED_RETENTION_MS_DEFAULT,
    retention: [],
  };
  return new VersionedState(await openAny(url, options), options);
}

interface Served {
  readonly server: HttpServer;
  readonly state: VersionedState;
  readonly port: number;
}

async function serve(state: VersionedState): Promise<Served> {
  const server = await createServer(state);
  const { port } = await server.listen({ port: 0 });
  return { server, state, port };
}
