import cluster from "node:cluster";
import type { AddressInfo } from "node:net";
import { createServer, type HttpServer } from "../http/server.ts";
import { open, type VersionedState } from "../index.ts";
import { systemClock } from "../telemetry/clock.ts";
import type { Log } from "../telemetry/log.ts";
import { advisedSettings, describeStart, weakSettings } from "./announce.ts";
import type { Invocation } from "./commands.ts";
import type { Settings } from "./config.ts";
import { growFileTable } from "./file-table.ts";
import { shortenPauses } from "./heap.ts";
import { makeLog } from "./log.ts";
import { assertFree, listenError } from "./port.ts";
import { readinessOf } from "./readiness.ts";
import { retentionRules } from "./retention-file.ts";
import { StopSignals } from "./stop.ts";
import { announce, isStarterOf, runWorkers } from "./workers.ts";

/** Serves a store until a signal asks for the end. */
export async function run({ settings }: Invocation): Promise<number> {
  if (isStarterOf(settings)) return runWorkers(settings);
  shortenPauses();
  growFileTable();
  const signals = new StopSignals();
  const retention = retentionRules(settings);
  // A worker shares the port that the process which started it has looked at.
  if (cluster.isPrimary) await assertFree(settings);

  const log = makeLog(settings.logLevel, [settings.store]);
  const state = await open(settings.store, {
    clock: systemClock,
    log,
    timeoutMs: settings.storeTimeoutMs,
    connectTimeoutMs: settings.connectTimeoutMs,
    maxValueBytes: settings.maxValueBytes,
    sharesBytes: true,
    feedRetentionMs: settings.feedRetentionMs,
    retention,
  });
  const { info } = state.store;
  const weak = weakSettings(info);
  if (settings.requireDurable && weak.length > 0) {
    await state.close();
    process.stderr.write(`vss: --require-durable refuses this store: ${weak.join(" ")}\n`);
    return 1;
  }

  const server = await createServer(state, {
    clock: systemClock,
    log,
    maxValueBytes: settings.maxValueBytes,
    limits: { inFlightMax: settings.inFlightMax, watchersMax: settings.watchersMax },
    logRequests: settings.logRequests,
    requireConditions: settings.requireConditions,
    store: info,
    ready: readinessOf(state.store, systemClock),
    registry: async () => {
      const { newRegistry } = await import("../telemetry/metrics.ts");
      return newRegistry(() => state.stats, info);
    },
  });
  const { port } = await listen(server, state, settings);
  announce(describeStart({ ...settings, port }, info));
  const settingsRead = info.settings.map(
    ({ name, value, verdict }) => `${name}=${value} (${verdict})`,
  );
  log.info({ port, store: info.product, settings: settingsRead }, "serving");
  for (const setting of advisedSettings(info)) log.warn({}, setting);

  const signal = await signals.next();
  log.info({ signal }, "stopping");
  const code = await stop({ server, state, log }, settings.drainTimeoutMs);
  // The channel to the process that started it would keep a worker alive.
  cluster.worker?.disconnect();
  return code;
}

async function listen(
  server: HttpServer,
  state: VersionedState,
  settings: Settings,
): Promise<AddressInfo> {
  try {
    return await server.listen(settings);
  } catch (error) {
    await state.close();
    throw listenError(error, settings);
  }
}

interface Parts {
  readonly server: HttpServer;
  readonly state: VersionedState;
  readonly log: Log;
}

/** Of the time to stop in, this share is for requests, and the rest for the store. */
const REQUESTS_SHARE = 0.8;

/**
 * Lets requests under way finish, then closes the store. Ends the process where that takes too long: what
 * is left of the time is counted from when it begins, and is never less than its share. Where the machine
 * held the process up, the store would else be given up before it was asked.
 */
async function stop({ server, state, log }: Parts, timeoutMs: number): Promise<number> {
  const startedAt = systemClock.monotonic();
  await server.close(timeoutMs * REQUESTS_SHARE);
  const leftMs = timeoutMs - (systemClock.monotonic() - startedAt);
  const deadline = setTimeout(
    () => {
      log.error({ timeoutMs }, "the store did not close in time");
      process.exit(1);
    },
    Math.max(leftMs, timeoutMs * (1 - REQUESTS_SHARE)),
  );
  deadline.unref();
  await state.close();
  clearTimeout(deadline);
  log.info({ ms: Math.round(systemClock.monotonic() - startedAt) }, "stopped");
  return 0;
}
