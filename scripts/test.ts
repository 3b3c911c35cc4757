import { spawn } from "node:child_process";
import { once } from "node:events";
import { globSync } from "node:fs";
import { join } from "node:path";
import { chosenStores, ensureBackEnds, pathWithServers } from "./back-ends.ts";

/**
 * Runs the tests: all, or those of the files named, as in `npm test -- test/cli/*.test.ts`. Flags go
 * to Node's runner, as in `npm test -- --test-random-seed=7`. The runner's count comes last.
 */
const ROOT = join(import.meta.dirname, "..");
const PATTERNS = ["src/**/*.test.ts", "test/**/*.test.ts", "bench/**/*.test.ts"];

/** Half the tests wait for a disk or a process, so two files at once are right for two cores. */
const RUNNER = [
  "--test",
  "--test-randomize",
  "--test-concurrency=2",
  "--test-timeout=300000",
  "--test-reporter=spec",
];

try {
  process.exitCode = await runTests(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function runTests(args: readonly string[]): Promise<number> {
  const flags = args.filter((arg) => arg.startsWith("-"));
  const named = args.filter((arg) => !arg.startsWith("-"));
  const patterns = named.length > 0 ? named : PATTERNS;
  const files = globSync(patterns, { cwd: ROOT }).toSorted();
  if (files.length === 0) throw new Error(`No test file matches ${patterns.join(" ")}.`);
  await ensureBackEnds(chosenStores());

  const child = spawn(process.execPath, [...RUNNER, ...flags, ...files], {
    cwd: ROOT,
    stdio: "inherit",
    env: { ...process.env, PATH: pathWithServers() },
  });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}
