import { Tally, type TallyCounts } from "./connection.ts";
import type { Found, Scenario } from "./scenario.ts";
import { SCENARIOS } from "./scenarios/index.ts";

/** What a process that ran a scenario tells of it. */
export interface AttackResult {
  readonly found: Found;
  readonly tally: TallyCounts;
}

/** Runs one scenario when it is told to. A process of its own, started by attacker.ts. */
const [name, port] = process.argv.slice(2);
const scenario = SCENARIOS.find((each) => each.name === name);
if (scenario === undefined) throw new Error(`There is no scenario ${name}.`);

async function attack({ run }: Scenario): Promise<void> {
  const tally = new Tally();
  const found = await run({ port: Number(port), url: `http://127.0.0.1:${port}`, tally });
  const result: AttackResult = { found, tally: tally.plain };
  process.send?.(result, () => process.exit());
}

process.once("message", () => void attack(scenario));
process.once("disconnect", () => process.exit(1));
process.send?.("ready");
