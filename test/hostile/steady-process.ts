import { Agent, request } from "node:http";

import type { SteadyReport } from "./steady-client.ts";

/** Attackers come from 127.0.0.1: it is another machine than theirs. */
const ADDRESS = "127.0.0.2";

/** Requests are due this often: 200 a second. */
const INTERVAL_MS = 5;

/**
 * A client that behaves: puts and gets a small value by turns at a fixed pace. Times count from the
 * moment at which a request was due, so that a server which stands still is charged for all that
 * would have been sent meanwhile. It has a process of its own: what it measures must not be the load's.
 */
const port = Number(process.argv[2]);

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
let latencies: number[] = [];
let refused = 0;
let failed = 0;
let count = 0;
let dueAt = performance.now();

function send(due: number): void {
  const method = count % 2 === 0 ? "PUT" : "GET";
  const path = `/steady-${Math.floor(count / 2) % 8}`;
  count += 1;
  const place = { host: "127.0.0.1", port, localAddress: ADDRESS };
  const sent = request({ ...place, agent, method, path }, (response) => {
    response.resume();
    response.on("end", () => {
      if (response.statusCode === 503) refused += 1;
      else latencies.push(performance.now() - due);
      if (response.statusCode !== 200 && response.statusCode !== 503) failed += 1;
    });
  });
  sent.on("error", () => {
    latencies.push(performance.now() - due);
    failed += 1;
  });
  sent.end(method === "PUT" ? "a steady value" : undefined);
}

setInterval(() => {
  const now = performance.now();
  for (; dueAt <= now; dueAt += INTERVAL_MS) send(dueAt);
}, 1);

process.on("message", () => {
  const report: SteadyReport = { latencies, refused, failed };
  process.send?.(report);
  latencies = [];
  refused = 0;
  failed = 0;
});
process.once("disconnect", () => process.exit());
