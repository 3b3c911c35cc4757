import { after } from "node:test";
import { StateClient } from "../../src/client/index.ts";
import type { Open, StoreFacts } from "../../src/conformance/facts.ts";
import { storeConformance } from "../../src/conformance/index.ts";
import { storeOptions } from "../../src/conformance/context.ts";
import { stateConformance } from "../../src/conformance/state.ts";
import { createServer, type HttpServer } from "../../src/http/server.ts";
import { FEED_RETENTION_MS_DEFAULT, VALUE_BYTES_DEFAULT } from "../../src/limits.ts";
import { VersionedState } from "../../src/state/versioned-state.ts";
import { openStore } from "../../src/stores/index.ts";
import { systemClock } from "../../src/telemetry/clock.ts";

export interface Suites extends StoreFacts {
  readonly name: string;
  /** Answers the URL of a new, empty store on every call. */
  readonly url: () => string;
}

/** Runs every suite on one kind of store: its own, the engine's, and the client's over two servers. */
export function runSuites(suites: Suites): void {
  storeConformance({ ...suites, openStore });
  runStateSuites(suites, openStore);
}

/** The suites over the engine alone, for stores that are opened in some way of their own. */
export function runStateSuites(suites: Suites, openAny: Open): void {
  const engineUrl = suites.url();
  stateConformance({ ...suites, open: () => openState(openAny, engineUrl) });

  const servedUrl = suites.url();
  const servers: Promise<Served>[] = [];
  let clients = 0;
  stateConformance({
    ...suites,
    name: `${suites.name} through the client`,
    open: async () => {
      clients += 1;
      const turn = clients % 2;
      servers[turn] ??= serve(await openState(openAny, servedUrl));
      const { port } = await servers[turn];
      return new StateClient(`http://127.0.0.1:${port}`);
    },
  });
  after(async () => {
    for (const { server, state } of await Promise.all(servers)) {
      await server.close(0);
      await state.close();
    }
  });
}

async function openState(openAny: Open, url: string): Promise<VersionedState> {
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
