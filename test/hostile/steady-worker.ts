import { Agent, request } from "node:http";
import { parentPort, workerData } from "node:worker_threads";

/**
 * A client that behaves: puts and gets a small value by turns at a fixed pace. Times count from the
 * moment at which a request was due, so that a server which stands still is charged for all that
 * would have been sent meanwhile. It has a thread of its own: what it measures must not be the load's.
 */
const { port, intervalMs } = workerData as { readonly port: number; readonly intervalMs: number };

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
  const sent = request({ host: "127.0.0.1", port, agent, method, path }, (response) => {
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

const timer = setInterval(() => {
  const now = performance.now();
  for (; dueAt <= now; dueAt += intervalMs) send(dueAt);
}, 1);

parentPort?.on("message", (message) => {
  if (message === "stop") {
    clearInterval(timer);
    agent.destroy();
    parentPort?.close();
    return;
  }
  parentPort?.postMessage({ latencies, refused, failed });
  latencies = [];
  refused = 0;
  failed = 0;
});
