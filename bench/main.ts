import { removeFolder, temporaryFolder } from "../test/servers/process.ts";
import type { GroupName } from "./back-ends.ts";
import { startGroup } from "./groups.ts";
import { runCell, WrongAnswer, type CellPlan, type RunTools } from "./measure/run-cells.ts";
import { OptionsError, parseOptions, USAGE } from "./options.ts";
import { planCells, planPeers } from "./plan.ts";
import type { Cell } from "./report/results.ts";

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof OptionsError || error instanceof WrongAnswer)) throw error;
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = error instanceof OptionsError ? 2 : 1;
}

async function main(argv: readonly string[]): Promise<void> {
  const options = parseOptions(argv);
  if (options.help) {
    process.stdout.write(USAGE);
    return;
  }
  const folder = await temporaryFolder("bench");
  let seed = 0;
  const tools: RunTools = {
    seconds: options.seconds,
    folder,
    say: (line) => void process.stdout.write(`${line}\n`),
    nextSeed: () => (seed += 1),
  };
  try {
    const cells: Cell[] = [];
    const groups: GroupName[] = [...options.stores];
    if (options.extras.includes("peers")) groups.push("peers");
    for (const name of groups) {
      const plans = name === "peers" ? planPeers(options) : planCells(options);
      if (plans.length > 0) cells.push(...(await runGroup(name, plans, tools)));
    }
  } finally {
    await removeFolder(folder);
  }
}

async function runGroup(
  name: GroupName,
  plans: readonly CellPlan[],
  tools: RunTools,
): Promise<readonly Cell[]> {
  const group = await startGroup(name, { ours: undefined, base: undefined });
  try {
    const cells: Cell[] = [];
    for (const plan of plans) cells.push(...(await runCell(group, plan, tools)));
    return cells;
  } finally {
    await group.stop();
  }
}
