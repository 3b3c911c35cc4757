import type { Group } from "../groups.ts";
import { KEYS } from "../loads/data.ts";
import { LOAD_TITLES, type LoadContext, type LoadName, type PreparedLoad } from "../loads/load.ts";
import { measureRound, type Round } from "../loads/measure.ts";
import { PREPARE } from "../loads/prepare.ts";
import { WireClient } from "../loads/wire.ts";
import type { Contender } from "../peers/contender.ts";
import { rateOf, toCell, type Cell } from "../report/results.ts";

/** One load at one number of connections and one size of values. */
export interface CellPlan {
  readonly load: LoadName;
  readonly connections: number;
  readonly valueBytes: number;
  readonly rounds: number;
}

export interface RunTools {
  readonly seconds: number;
  readonly folder: string;
  readonly say: (line: string) => void;
  /** Different for every run of wrk. */
  readonly nextSeed: () => number;
}

/** A contender, ready for one load. */
interface Runner {
  readonly contender: Contender;
  readonly context: LoadContext;
  readonly load: PreparedLoad;
  readonly rounds: Round[];
}

const CHECK_CONNECTIONS = 32;

/** A wrong answer of our own server, or of the bare one: nothing that was measured may be used. */
export class WrongAnswer extends Error {}

/**
 * Measures one load on everything in a group, in turns: each round runs all of them, so that what
 * else the machine does in that second meets them alike. A first round warms up and is not counted.
 */
export async function runCell(
  group: Group,
  plan: CellPlan,
  tools: RunTools,
): Promise<readonly Cell[]> {
  const runners = await prepareAll(group, plan);
  try {
    for (let round = 0; round <= plan.rounds; round += 1) {
      const isWarmUp = round === 0;
      for (const runner of runners) {
        if (runner.contender === group.bare) await teachBare(group, runners);
        const measured = await oneRound(runner, plan, tools);
        if (!isWarmUp) runner.rounds.push(measured);
      }
    }
  } finally {
    for (const { context } of runners) context.client.close();
  }
  const { load, connections, valueBytes } = plan;
  const bareRates = runners.find(({ contender }) => contender === group.bare)?.rounds.map(rateOf);
  const cells = runners.map(({ contender, rounds }) => {
    const name = { group: group.name, contender: contender.name, load, connections, valueBytes };
    return toCell(name, rounds, bareRates ?? []);
  });
  tools.say(describe(group, plan, cells));
  return cells;
}

async function prepareAll(group: Group, plan: CellPlan): Promise<readonly Runner[]> {
  const runners: Runner[] = [];
  for (const contender of group.contenders) {
    const client = new WireClient(contender.port, CHECK_CONNECTIONS);
    const context = { contender, client, valueBytes: plan.valueBytes, random: Math.random };
    const load = await PREPARE[plan.load](context);
    if (load === undefined) client.close();
    else runners.push({ contender, context, load, rounds: [] });
  }
  return runners;
}

/** Lets the bare server answer what ours answers now, so that both send the same bytes. */
async function teachBare(group: Group, runners: readonly Runner[]): Promise<void> {
  const ours = runners.find(({ contender }) => contender === group.ours);
  if (ours === undefined) return;
  const { client } = ours.context;
  const find = (method: string) => ours.load.requests.find((one) => one.method === method);
  const put = find("PUT") ?? group.ours.surface.put("sample", "x");
  const putAnswer = await client.sendOk(put);
  const getAnswer = await client.sendOk(find("GET") ?? group.ours.surface.get(put.path.slice(1)));
  await group.bare.answerLike(getAnswer, putAnswer);
}

async function oneRound(runner: Runner, plan: CellPlan, tools: RunTools): Promise<Round> {
  const { contender, context, load } = runner;
  const { connections } = plan;
  const options = { connections, seconds: tools.seconds, folder: tools.folder };
  const measured = await measureRound(context, load, { ...options, seed: tools.nextSeed() });
  const isOwn = contender.name === "ours" || contender.name === "base" || contender.name === "bare";
  if (measured.fault !== undefined && isOwn) {
    throw new WrongAnswer(`${contender.name}, ${LOAD_TITLES[plan.load]}: ${measured.fault}`);
  }
  return measured;
}

function describe(group: Group, plan: CellPlan, cells: readonly Cell[]): string {
  const shape = `${plan.connections} conn, ${plan.valueBytes} B`;
  const rates = cells.map(({ contender, rate, share, faults }) => {
    const wrong = faults.length > 0 ? " (wrong)" : "";
    return `${contender} ${Math.round(rate)}/s${contender === "bare" ? "" : ` = ${share.toFixed(2)}`}${wrong}`;
  });
  const title = LOAD_TITLES[plan.load].replace("1,000", KEYS.toLocaleString("en"));
  return `${group.name.padEnd(8)} ${title} (${shape}): ${rates.join(", ")}`;
}
