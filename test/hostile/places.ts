import { availableParallelism } from "node:os";

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
export function startedAt(place: keyof typeof PLACES): readonly string[] {
  const { processor, nice } = PLACES[place];
  const priority = ["nice", "-n", `${nice}`];
  if (availableParallelism() < 2) return priority;
  return ["taskset", "--cpu-list", `${processor}`, ...priority];
}
