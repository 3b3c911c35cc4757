import type { Group } from "../groups.ts";
import {
  LOAD_TITLES,
  type LoadContext,
  type LoadName,
  type PreparedLoad,
  type PrepareLoad,
} from "../loads/load.ts";
import { failedRound, measureRound, messageOf, type Round } from "../loads/measure.ts";
import { PREPARE } from "../loads/prepare.ts";
import { WireClient } from "../loads/wire.ts";
import { waitForRest } from "./at-rest.ts";
import type { BareContender } from "../peers/bare.ts";
import type { Contender, ContenderName } from "../peers/contender.ts";
import { rateOf, toCell, type Cell } from "../report/results.ts";

/** One load at one number of connections and one size of values. */
export interface CellPlan extends LoadShape {
  readonly load: LoadName;
}

export interface LoadShape {
  readonly connections: number;
  readonly valueBytes: number;
  readonly rounds: number;
  /** Length of a first round that is not counted; 0 for none. */
  readonly warmUpSeconds: number;
}

export interface RunTools {
  readonly seconds: number;
  readonly folder: string;
  readonly say: (line: string) => void;
  /** Different for every run of wrk. */
  readonly nextSeed: () => number;
}

/** Who takes turns, and how it's made ready. One contender may enter with several loads. */
export interface Entrant {
  readonly contender: Contender;
  readonly prepare: PrepareLoad;
}

/** An entrant, ready for its load. */
interface Runner {
  readonly entrant: Entrant;
  readonly context: LoadContext;
  load: PreparedLoad;
  readonly rounds: Round[];
}

const CHECK_CONNECTIONS = 32;

/** A wait for the machine that is worth a word, in milliseconds. */
const LONG_REST_MS = 3_000;

/** A wrong answer of our own server, or of the bare one: nothing that was measured may be used. */
export class WrongAnswer extends Error {}

/** Measures one load on everything in a group. */
export async function runCell(
  group: Group,
  plan: CellPlan,
  tools: RunTools,
): Promise<readonly Cell[]> {
  const { load, connections, valueBytes } = plan;
  const title = `${group.name.padEnd(8)} ${LOAD_TITLES[load]} (${connections} conn, ${valueBytes} B)`;
  const entrants = group.contenders.map((contender) => ({ contender, prepare: PREPARE[load] }));
  const measured = await runInTurns(group.bare, { ...plan, title, entrants }, tools);
  const bareRates = measured
    .find(({ entrant }) => entrant.contender === group.bare)
    ?.rounds.map(rateOf);
  const cells = measured.map(({ entrant, rounds }) => {
    const contender = entrant.contender.name;
    const name = { group: group.name, contender, load, connections, valueBytes };
    return toCell(name, rounds, bareRates ?? []);
  });
  tools.say(`${title}: ${cells.map(describe).join(", ")}`);
  return cells;
}

/** A load that may be any; `title` is what a failure is told with. */
export interface TurnsPlan extends LoadShape {
  readonly title: string;
  readonly entrants: readonly Entrant[];
  /** Where a round leaves other data than it found, each is made ready for it anew. */
  readonly preparesEachRound?: boolean;
}

export interface MeasuredRounds {
  readonly entrant: Entrant;
  readonly rounds: readonly Round[];
}

/**
 * Runs the loads of all entrants that can do theirs, in turns: each round runs all of them, so that
 * what else the machine does in that second meets them alike, and each starts with another of them.
 * A first round may warm up and is not counted. The bare server, where it is one of them, answers
 * what the first that is our own server answers.
 */
export async function runInTurns(
  bare: BareContender,
  plan: TurnsPlan,
  tools: RunTools,
): Promise<readonly MeasuredRounds[]> {
  const runners = await prepareAll(plan);
  try {
    for (let round = plan.warmUpSeconds > 0 ? 0 : 1; round <= plan.rounds; round += 1) {
      const isWarmUp = round === 0;
      const seconds = isWarmUp ? plan.warmUpSeconds : tools.seconds;
      for (const runner of rotated(runners, round)) {
        if (plan.preparesEachRound === true) await prepareAnew(runner, plan);
        if (runner.entrant.contender === bare) await teachBare(bare, runners);
        const restMs = await waitForRest(process.pid);
        if (restMs > LONG_REST_MS) tools.say(`waited ${Math.round(restMs / 1000)} s for rest`);
        const measured = await oneRound(runner, plan, { ...tools, seconds });
        if (!isWarmUp) runner.rounds.push(measured);
      }
    }
  } finally {
    for (const { context } of runners) context.client.close();
  }
  return runners;
}

/** The items in the same circle, from another start. */
export function rotated<T>(items: readonly T[], by: number): readonly T[] {
  const start = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

async function prepareAll(plan: TurnsPlan): Promise<readonly Runner[]> {
  const runners: Runner[] = [];
  for (const entrant of plan.entrants) {
    const { contender } = entrant;
    const client = new WireClient(contender.port, CHECK_CONNECTIONS);
    const context = { contender, client, valueBytes: plan.valueBytes, random: Math.random };
    const load = await prepareOne(entrant, context, plan);
    if (load === undefined) client.close();
    else runners.push({ entrant, context, load, rounds: [] });
  }
  return runners;
}

async function prepareAnew(runner: Runner, plan: TurnsPlan): Promise<void> {
  const load = await prepareOne(runner.entrant, runner.context, plan);
  if (load !== undefined) runner.load = load;
}

async function prepareOne(
  { prepare }: Entrant,
  context: LoadContext,
  plan: TurnsPlan,
): Promise<PreparedLoad | undefined> {
  try {
    return await prepare(context);
  } catch (error) {
    const { name } = context.contender;
    const fault = `its data could not be made: ${messageOf(error)}`;
    if (OWN.has(name)) throw new WrongAnswer(`${plan.title}: ${name}: ${fault}`, { cause: error });
    // Every check then fails, and so does every round.
    return {
      script: "pool",
      requests: [],
      written: [],
      check: () => Promise.reject(new Error(fault)),
    };
  }
}

/** Lets the bare server answer what ours answers now, so that both send the same bytes. */
async function teachBare(bare: BareContender, runners: readonly Runner[]): Promise<void> {
  const ours = runners.find(({ entrant }) => entrant.contender.name === "ours");
  if (ours === undefined) return;
  const { client, contender } = ours.context;
  const find = (method: string) => ours.load.requests.find((one) => one.method === method);
  const put = find("PUT") ?? contender.surface.put("sample", "x");
  const putAnswer = await client.sendOk(put);
  const getAnswer = await client.sendOk(find("GET") ?? contender.surface.get(put.path.slice(1)));
  await bare.answerLike(getAnswer, putAnswer);
}

async function oneRound(runner: Runner, plan: TurnsPlan, tools: RunTools): Promise<Round> {
  const { context, load } = runner;
  const { contender } = context;
  const { connections } = plan;
  const options = { connections, seconds: tools.seconds, folder: tools.folder };
  const seed = tools.nextSeed();
  const measured = await measureRound(context, load, { ...options, seed }).catch((error: unknown) =>
    failedRound(messageOf(error)),
  );
  if (measured.fault !== undefined && OWN.has(contender.name)) {
    throw new WrongAnswer(`${plan.title}: ${contender.name}: ${measured.fault}`);
  }
  return measured;
}

/** Of these nothing may ever be wrong. */
const OWN: ReadonlySet<ContenderName> = new Set(["bare", "ours", "base", "workers"]);

function describe({ contender, rate, share, faults }: Cell): string {
  const relative = contender === "bare" ? "" : ` = ${share.toFixed(2)}`;
  return `${contender} ${Math.round(rate)}/s${relative}${faults.length > 0 ? " (wrong)" : ""}`;
}
