import { removeFolder, temporaryFolder } from "../test/servers/process.ts";
import { startGroup } from "./groups.ts";
import { runCell, WrongAnswer, type RunTools } from "./measure/run-cells.ts";
import { OptionsError, parseOptions, USAGE } from "./options.ts";
import { planCells } from "./plan.ts";
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
    for (const store of options.stores) {
      const group = await startGroup(store, { ours: undefined, base: undefined });
      try {
        for (const plan of planCells(options)) cells.push(...(await runCell(group, plan, tools)));
      } finally {
        await group.stop();
      }
    }
  } finally {
    await removeFolder(folder);
  }
}
