import { fork, type ChildProcess } from "node:child_process";
import { availableParallelism } from "node:os";
import { endWithThis } from "../servers/children.ts";

/**
 * Attackers, those who behave and the servers share one machine, where each would have machines of its
 * own. What the attacked server does to its clients is to be told apart from what the attackers' own
 * work does: they have one of the two processors, and only what clients leave of it. The attacked server
 * may use both, as V8 collects garbage in further threads; with one for all of them, these stand in the
 * way of the thread that serves.
 */
const PLACES = {
  attacked: { processors: "0,1", nice: -20 },
  behaving: { processors: "1", nice: -20 },
  attacker: { processors: "1", nice: 19 },
} as const;

/** What a process is to be started under to run in its place; without root, `nice` does not favour it. */
export function startedAt(place: keyof typeof PLACES): readonly [string, ...string[]] {
  const { processors, nice } = PLACES[place];
  const priority = ["nice", "-n", `${nice}`] as const;
  if (availableParallelism() < 2) return priority;
  return ["taskset", "--cpu-list", processors, ...priority];
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
