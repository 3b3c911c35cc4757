import type { Metric, Registry } from "prom-client";

import type { ServerContext } from "./exchange.ts";
import type { Route } from "./route.ts";

/** Upper bounds of the latency histogram, in seconds. */
const BUCKETS_SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const;

/** Counts of one route. Plain numbers: a labelled prom-client counter costs a microsecond a request. */
export class RouteTraffic {
  readonly labels: { readonly method: string; readonly route: string };
  readonly #byStatus = new Map<number, number>();
  readonly #buckets = new Float64Array(BUCKETS_SECONDS.length + 1);
  #seconds = 0;
  #count = 0;

  constructor({ method, path }: Pick<Route, "method" | "path">) {
    this.labels = { method, route: path };
  }

  record(status: number, seconds: number): void {
    this.#byStatus.set(status, (this.#byStatus.get(status) ?? 0) + 1);
    let bucket = 0;
    while (seconds > (BUCKETS_SECONDS[bucket] ?? Infinity)) bucket += 1;
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    this.#seconds += seconds;
    this.#count += 1;
  }

  get requests(): readonly Sample[] {
    return [...this.#byStatus].map(([status, value]) => ({
      labels: { ...this.labels, status },
      value,
    }));
  }

  get durations(): readonly Sample[] {
    if (this.#count === 0) return [];
    let sum = 0;
    const samples: Sample[] = [...this.#buckets].map((count, index) => {
      sum += count;
      const le = BUCKETS_SECONDS[index] ?? "+Inf";
      return { labels: { ...this.labels, le }, value: sum, metricName: `${DURATION}_bucket` };
    });
    samples.push(
      { labels: this.labels, value: this.#seconds, metricName: `${DURATION}_sum` },
      { labels: this.labels, value: this.#count, metricName: `${DURATION}_count` },
    );
    return samples;
  }
}

interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
}

const DURATION = "vss_http_request_duration_seconds";

/** What a metric is read from when someone asks. */
interface Gauge {
  readonly name: string;
  readonly help: string;
  readonly read: () => number;
}

type Metrics = ServerContext["metrics"];

/**
 * How to print the server's metrics. The registry is made when someone first asks: loading prom-client
 * would take a tenth of the time to start.
 */
export function metricsOf(
  { load, streams }: ServerContext,
  routes: readonly RouteTraffic[],
  newRegistry = emptyRegistry,
): Metrics {
  const gauges: readonly Gauge[] = [
    { name: "vss_http_in_flight", help: "Requests under way.", read: () => load.inFlight },
    {
      name: "vss_http_held_bytes",
      help: "Bytes of bodies held for requests under way.",
      read: () => load.heldBytes,
    },
    { name: "vss_http_watchers", help: "Open watches.", read: () => streams.size },
  ];
  const make = async (): Promise<Registry> => {
    const registry = await newRegistry();
    await register(registry, routes, gauges);
    return registry;
  };
  let made: Promise<Registry> | undefined;
  return async () => {
    const registry = await (made ??= make());
    return { contentType: registry.contentType, text: await registry.metrics() };
  };
}

async function emptyRegistry(): Promise<Registry> {
  const prometheus = await import("prom-client");
  return new prometheus.Registry();
}

/** The registry reads these only when it is printed. */
async function register(
  registry: Registry,
  routes: readonly RouteTraffic[],
  gauges: readonly Gauge[],
): Promise<void> {
  const prometheus = await import("prom-client");
  const registers = [registry];
  for (const { name, help, read } of gauges) {
    new prometheus.Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  }
  new prometheus.Counter({
    name: "vss_http_requests_total",
    help: "Requests answered, by route and status.",
    labelNames: ["method", "route", "status"],
    registers,
    collect() {
      this.reset();
      for (const { labels, value } of routes.flatMap((route) => route.requests)) {
        this.inc(labels, value);
      }
    },
  });
  registry.registerMetric(durations(routes));
}

/** A histogram whose counts live here; a registry asks nothing more of a metric than this. */
function durations(routes: readonly RouteTraffic[]): Metric<string> {
  const metric = {
    name: DURATION,
    get: () =>
      Promise.resolve({
        name: DURATION,
        help: "From the end of a request's headers to the end of its answer.",
        type: "histogram",
        aggregator: "sum",
        values: routes.flatMap((route) => route.durations),
      }),
  };
  return metric as unknown as Metric<string>;
}
