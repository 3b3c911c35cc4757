import { fork, type ChildProcess } from "node:child_process";
import { availableParallelism } from "node:os";
import { endWithThis } from "../servers/children.ts";

/**
 * Attackers, those who behave and the servers share one machine, where each would have machines of its
 * own. So the attacked server has a processor to itself, and what it does to its clients is told apart
 * from what the attackers' own work does: they have the other one, and only what clients leave of it.
 */
const PLACES = {
  attacked: { processor: 0, nice: -20 },
  behaving: { processor: 1, nice: -20 },
  attacker: { processor: 1, nice: 19 },
} as const;

/** What a process is to be started under to run in its place; without root, `nice` does not favour it. */
export function startedAt(place: keyof typeof PLACES): readonly [string, ...string[]] {
  const { processor, nice } = PLACES[place];
  const priority = ["nice", "-n", `${nice}`] as const;
  if (availableParallelism() < 2) return priority;
  return ["taskset", "--cpu-list", `${processor}`, ...priority];
}

/** Runs a file of ours in its place, as a child that ends with this process. */
export function forkAt(
  place: keyof typeof PLACES,
  file: string,
  args: readonly string[],
): ChildProcess {
  const [execPath, ...rest] = startedAt(place);
  const child = fork(file, args, { execPath, execArgv: [...rest, process.execPath] });
  endWithThis(child);
  return child;
}
