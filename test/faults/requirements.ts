import { existsSync, globSync } from "node:fs";
import { delimiter, join } from "node:path";

import { ensureBackEnds, pathWithServers } from "../../scripts/back-ends.ts";
import { PROVIDER } from "../servers/galera.ts";
import type { StoreName } from "../servers/selection.ts";
import type { BackEndName } from "./back-ends.ts";
import type { PlannedRun } from "./plan.ts";
import { CLOCK_LIBRARY } from "./shifted-clock.ts";

/** Debian's packages that some runs need beside the servers themselves. */
const PACKAGES: readonly {
  readonly name: string;
  readonly isNeeded: (run: PlannedRun) => boolean;
  readonly isThere: () => boolean;
}[] = [
  {
    name: "libfaketime",
    isNeeded: ({ fault }) => fault.name === "clock-jump",
    isThere: () => globSync(CLOCK_LIBRARY).length > 0,
  },
  {
    name: "galera-4",
    isNeeded: ({ backEnd }) => backEnd === "galera",
    isThere: () => existsSync(PROVIDER),
  },
  {
    name: "rsync",
    isNeeded: ({ backEnd }) => backEnd === "galera",
    isThere: () =>
      pathWithServers()
        .split(delimiter)
        .some((folder) => existsSync(join(folder, "rsync"))),
  },
];

function serverOf(backEnd: BackEndName): StoreName {
  if (backEnd === "sqlite") return backEnd;
  if (backEnd.startsWith("redis")) return "redis";
  return backEnd.startsWith("mongodb") ? "mongodb" : "mariadb";
}

/** Makes sure of every program that the runs need, or throws with what to install. */
export async function ensurePrograms(plan: readonly PlannedRun[]): Promise<void> {
  process.env["PATH"] = pathWithServers();
  const missing = PACKAGES.filter(({ isNeeded, isThere }) => plan.some(isNeeded) && !isThere());
  const servers = new Set(plan.map(({ backEnd }) => serverOf(backEnd)));
  // An embedded store needs no program; what its tests are traced with is of no use here.
  servers.delete("sqlite");
  await ensureBackEnds(
    [...servers],
    missing.map(({ name }) => name),
  );
}
