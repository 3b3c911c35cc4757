import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";
import type { StoreInfo } from "../store.ts";

/** What is counted of the engine. */
export interface EngineStats {
  readonly queuedReads: number;
  readonly queuedWrites: number;
  readonly watchers: number;
  readonly missedChanges: number;
  readonly trimmedVersions: number;
}

/** A registry with the process's, the engine's and the store's metrics, read when they are asked for. */
export function newRegistry(stats: () => EngineStats, info: StoreInfo): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  addGauge(registry, "vss_state_queued_reads", "Reads that wait for a batch.", () => {
    return stats().queuedReads;
  });
  addGauge(registry, "vss_state_queued_writes", "Writes that wait for a batch.", () => {
    return stats().queuedWrites;
  });
  addGauge(registry, "vss_state_watchers", "Readers of the feed.", () => stats().watchers);
  addCounter(
    registry,
    "vss_state_missed_changes_total",
    "Versions that the feed should have brought and did not; must stay 0.",
    () => stats().missedChanges,
  );
  addCounter(
    registry,
    "vss_state_trimmed_versions_total",
    "Versions that retention has removed.",
    () => stats().trimmedVersions,
  );
  addStore(registry, info);
  return registry;
}

function addGauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}

function addCounter(registry: Registry, name: string, help: string, read: () => number): void {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(read());
    },
  });
}

/** What the store is, and how its settings were judged at the start. */
function addStore(registry: Registry, { scheme, product, settings }: StoreInfo): void {
  const registers = [registry];
  new Gauge({
    name: "vss_store_info",
    help: "The store that is served: always 1.",
    labelNames: ["scheme", "product"],
    registers,
  }).set({ scheme, product }, 1);
  const verdicts = new Gauge({
    name: "vss_store_setting",
    help: "1 where a setting of the back end keeps what is acknowledged, 0 where it may not.",
    labelNames: ["name", "value", "verdict"],
    registers,
  });
  for (const { name, value, verdict } of settings) {
    verdicts.set({ name, value, verdict }, verdict === "ok" ? 1 : 0);
  }
}
