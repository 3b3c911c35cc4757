import { fork, type ChildProcess } from "node:child_process";
import { availableParallelism } from "node:os";
import { endWithThis } from "../servers/children.ts";

/** Without root, this does not favour. */
const FAVOURED = ["nice", "-n", "-20"] as const;

const USUAL = ["nice", "-n", "0"] as const;

/** Runs where nothing else would: to the kernel, a processor that does only this is free. */
const IDLE = ["chrt", "--idle", "0"] as const;

/**
 * Attackers, those who behave and the servers share one machine, where each would have machines of its
 * own. What the attacked server does to its clients is to be told apart from what the attackers' own
 * work does: they have one of the two processors, and only what others leave of it. The attacked server
 * may use both, as V8 collects garbage in further threads; with one for all of them, these stand in the
 * way of the thread that serves. Where they run beside those who behave, these come first, so that no
 * client measures how long it waited for the processor of a machine that would not be its own.
 */
const PLACES = {
  attacked: { processors: "0,1", priority: USUAL },
  behaving: { processors: "1", priority: FAVOURED },
  attacker: { processors: "1", priority: IDLE },
} as const;

/** What a process is to be started under to run in its place. */
export function startedAt(place: keyof typeof PLACES): readonly [string, ...string[]] {
  const { processors, priority } = PLACES[place];
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
