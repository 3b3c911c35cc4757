import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { residentBytes, resetPeak, usageOf } from "../../bench/measure/usage.ts";
import { removeFolder, temporaryFolder } from "../servers/process.ts";
import { VssServer } from "../servers/vss-server.ts";
import { Tally } from "./connection.ts";
import { MIB, type Found, type Scenario } from "./scenario.ts";
import { SteadyClient, type Seen } from "./steady-client.ts";

/** The well-behaved client alone: first until everything is warm, then to compare with. */
const WARM_UP_MS = 1_000;
const BEFORE_MS = 2_000;

/** Within this, the server answers once a scenario is over. */
const ANSWER_MS_MAX = 1_000;

/** Allowed on top of twice what the well-behaved client's p99 was before. */
export const P99_MARGIN_MS = 25;

export interface Result {
  readonly scenario: Scenario;
  readonly store: string;
  readonly tally: Tally;
  readonly beforeMib: number;
  readonly peakMib: number;
  readonly before: Seen;
  readonly during: Seen;
  readonly notes: readonly string[];
  /** Any fails the run. */
  readonly failures: readonly string[];
  /** Told, but no failure: other work on the machine makes it too. */
  readonly warnings: readonly string[];
}

/** Runs one scenario against a server process of its own. */
export async function runScenario(scenario: Scenario, defaultStore: string): Promise<Result> {
  const folder = await temporaryFolder("hostile");
  const store = scenario.store === undefined ? defaultStore : `sqlite:${join(folder, "state.db")}`;
  const args = ["--log-level", "warn", ...(scenario.args ?? [])];
  const server = await VssServer.start({ store, args });
  const port = Number(new URL(server.url).port);
  const steady = new SteadyClient(port);
  try {
    await sleep(WARM_UP_MS);
    await steady.take();
    await sleep(BEFORE_MS);
    const before = await steady.take();
    const tally = new Tally();
    const beforeBytes = await residentBytes(server.pid);
    await resetPeak(server.pid);
    const found = await scenario.run({ port, url: server.url, tally });
    const during = await steady.take();
    const lives = await answersSoon(server.url);
    const { peakBytes } = await usageOf(server.pid);
    const memory = { beforeMib: beforeBytes / MIB, peakMib: peakBytes / MIB };
    const seen = { scenario, store: store.slice(0, store.indexOf(":")), tally, before, during };
    return judge({ ...seen, ...memory, found, lives });
  } finally {
    await steady.stop();
    await server.stop();
    await removeFolder(folder);
  }
}

/** Whether a put and a get are answered in time; a refusal is no answer now that all is over. */
async function answersSoon(url: string): Promise<boolean> {
  const signal = AbortSignal.timeout(ANSWER_MS_MAX);
  try {
    const put = await fetch(`${url}/afterwards`, { method: "PUT", body: "v", signal });
    const get = await fetch(`${url}/afterwards`, { signal });
    return put.status === 200 && get.status === 200;
  } catch {
    return false;
  }
}

type Observed = Omit<Result, "notes" | "failures" | "warnings"> & {
  readonly found: Found;
  readonly lives: boolean;
};

function judge({ found, lives, ...observed }: Observed): Result {
  const { scenario, tally, before, during, beforeMib, peakMib } = observed;
  const failures = [...(found.failures ?? [])];
  for (const kind of tally.kinds) {
    if (tally.of(kind) > 0 && !scenario.expected.includes(kind)) {
      failures.push(`${tally.of(kind)} answered ${kind}, which is not meant`);
    }
  }
  if (tally.withoutRetryAfter > 0)
    failures.push(`${tally.withoutRetryAfter} 503s have no Retry-After`);
  if (!lives) failures.push(`the server did not answer within ${ANSWER_MS_MAX} ms afterwards`);
  const grown = peakMib - beforeMib;
  if (grown > scenario.growth.mebibytes) {
    failures.push(
      `memory grew by ${Math.round(grown)} MiB, of ${Math.round(scenario.growth.mebibytes)}`,
    );
  }
  if (during.failed > 0)
    failures.push(`${during.failed} requests of the well-behaved client failed`);
  const warnings: string[] = [];
  if (during.p99Ms > 2 * before.p99Ms + P99_MARGIN_MS) {
    warnings.push(
      `the well-behaved client's p99 went from ${before.p99Ms.toFixed(1)} to ${during.p99Ms.toFixed(1)} ms`,
    );
  }
  if (during.refused > 0)
    warnings.push(`${during.refused} requests of the well-behaved client were refused`);
  return { ...observed, notes: found.notes ?? [], failures, warnings };
}
