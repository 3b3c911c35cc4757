import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { residentBytes, resetPeak, usageOf } from "../../bench/measure/usage.ts";
import { removeFolder, temporaryFolder } from "../servers/process.ts";
import { VssServer } from "../servers/vss-server.ts";
import type { AttackResult } from "./attack.ts";
import { Attacker } from "./attacker.ts";
import { Tally } from "./connection.ts";
import { startedAt } from "./places.ts";
import { MIB, type Found, type Scenario } from "./scenario.ts";
import { SteadyClient, type Seen } from "./steady-client.ts";
import { TurnsProbe, type TurnsSeen } from "./turns.ts";

/** The well-behaved client alone: first until everything is warm, then to compare with. */
const WARM_UP_MS = 1_000;
const BEFORE_MS = 10_000;

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
  /** During the attack, at a server that nobody attacks: what the machine makes of it. */
  readonly elsewhere: Seen;
  /** The turns of the server's event loop during the attack. */
  readonly turns: TurnsSeen;
  readonly notes: readonly string[];
  /** Any fails the run. */
  readonly failures: readonly string[];
  /** Told, but no failure: other work on the machine makes it too. */
  readonly warnings: readonly string[];
}

/** A server, and a client of it that behaves. */
interface Served {
  readonly store: string;
  readonly port: number;
  readonly server: VssServer;
  readonly turns: TurnsProbe;
  readonly steady: SteadyClient;
  readonly stop: () => Promise<void>;
}

async function serve(
  scenario: Scenario,
  defaultStore: string,
  place: "attacked" | "behaving",
): Promise<Served> {
  const folder = await temporaryFolder("hostile");
  const store = scenario.store === undefined ? defaultStore : `sqlite:${join(folder, "state.db")}`;
  const args = ["--log-level", "warn", ...(scenario.args ?? [])];
  const turns = new TurnsProbe(folder);
  const server = await VssServer.start({
    store,
    args,
    under: [...startedAt(place), ...turns.under],
  });
  const port = Number(new URL(server.url).port);
  const steady = new SteadyClient(port);
  const stop = async (): Promise<void> => {
    await steady.stop();
    await server.stop();
    await removeFolder(folder);
  };
  return { store: store.slice(0, store.indexOf(":")), port, server, turns, steady, stop };
}

/** Runs one scenario against a server of its own, beside another that nobody attacks. */
export async function runScenario(scenario: Scenario, defaultStore: string): Promise<Result> {
  const attacked = await serve(scenario, defaultStore, "attacked");
  const spared = await serve(scenario, defaultStore, "behaving");
  const attacker = await Attacker.start(scenario.name, attacked.port);
  try {
    return await observe(scenario, { attacked, spared, attacker });
  } finally {
    attacker.stop();
    await Promise.all([attacked.stop(), spared.stop()]);
  }
}

interface Parties {
  readonly attacked: Served;
  readonly spared: Served;
  readonly attacker: Attacker;
}

async function observe(scenario: Scenario, parties: Parties): Promise<Result> {
  const { attacked, spared, attacker } = parties;
  const { server, store } = attacked;
  const take = (): Promise<readonly [Seen, Seen]> =>
    Promise.all([attacked.steady.take(), spared.steady.take()]);
  await sleep(WARM_UP_MS);
  await take();
  await sleep(BEFORE_MS);
  const [before] = await take();
  await attacked.turns.take();
  const beforeBytes = await residentBytes(server.pid);
  await resetPeak(server.pid);
  const attack = await attacker.run();
  const [during, elsewhere] = await take();
  const turns = await attacked.turns.take();
  const lives = await answersSoon(server.url);
  const { peakBytes } = await usageOf(server.pid);
  const memory = { beforeMib: beforeBytes / MIB, peakMib: peakBytes / MIB };
  return judge({ scenario, store, before, during, elsewhere, turns, ...memory, attack, lives });
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

type Observed = Omit<Result, "tally" | "notes" | "failures" | "warnings"> & {
  readonly attack: AttackResult;
  readonly lives: boolean;
};

function judge({ attack, lives, ...observed }: Observed): Result {
  const { scenario, before, during, elsewhere, beforeMib, peakMib } = observed;
  const tally = new Tally(attack.tally);
  const found: Found = attack.found;
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
  const otherwiseMs = Math.max(before.p99Ms, elsewhere.p99Ms);
  if (during.p99Ms > 2 * otherwiseMs + P99_MARGIN_MS) {
    warnings.push(
      `the well-behaved client's p99 was ${during.p99Ms.toFixed(1)} ms, and ${otherwiseMs.toFixed(1)} ` +
        "before or elsewhere",
    );
  }
  if (during.refused > 0)
    warnings.push(`${during.refused} requests of the well-behaved client were refused`);
  return { ...observed, tally, notes: found.notes ?? [], failures, warnings };
}
