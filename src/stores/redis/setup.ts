import { StateError } from "../../errors.ts";
import type { Executor } from "./executor.ts";
import type { RedisOptions } from "./options.ts";
import type { ServerFacts } from "./settings.ts";
import {
  formatSetup,
  parseSetup,
  partitionNames,
  PARTITIONS_CLUSTER,
  PARTITIONS_SINGLE,
  SCHEMA_VERSION,
  setupName,
  type Partition,
} from "./schema.ts";

/**
 * Records the schema version and the number of partitions where this is a new state, and answers the
 * partitions as they were recorded by whoever came first. Throws `store_incompatible` where what is
 * there was written by a newer version, or by another program.
 */
export async function setUp(
  executor: Executor,
  redis: RedisOptions,
  deadline: number,
): Promise<readonly Partition[]> {
  const isCluster = redis.topology === "cluster";
  const name = setupName(redis.prefix);
  const own = formatSetup({
    schema: SCHEMA_VERSION,
    partitions: isCluster ? PARTITIONS_CLUSTER : PARTITIONS_SINGLE,
  });
  const [slot = 0] = await findSlots(executor, isCluster ? [name] : [], deadline);
  const where = { slot, kind: "write", deadline } as const;
  let recorded = await executor.runCommand(where, ["GET", name]);
  if (recorded === null) {
    // Of ten that start at once, one sets it and all read the same.
    await executor.runCommand(where, ["SET", name, own, "NX"]);
    recorded = await executor.runCommand(where, ["GET", name]);
  }
  const setup = parseSetup(String(recorded));
  if (setup === undefined) throw incompatible("It holds data of another program.");
  if (setup.schema > SCHEMA_VERSION) {
    throw incompatible(
      `It was set up by a newer version of this server (schema ${setup.schema}, known is ` +
        `${SCHEMA_VERSION}). Upgrade this server.`,
    );
  }
  const names = Array.from({ length: setup.partitions }, (_, index) =>
    partitionNames(redis.prefix, index),
  );
  const slots = isCluster
    ? await findSlots(
        executor,
        names.map(({ meta }) => meta),
        deadline,
      )
    : [];
  return names.map((one, index) => ({ names: one, slot: slots[index] ?? 0 }));
}

/** The feed is trimmed with XTRIM MINID. */
const VERSION_MIN = [6, 2] as const;

/** What INFO calls the ways to run a server, and the schemes for them. */
const MODES: Readonly<Record<string, RedisOptions["topology"]>> = {
  standalone: "single",
  cluster: "cluster",
  sentinel: "sentinel",
};

/** Throws where a server is too old, or is run in another way than the store's URL says. */
export function assertUsable(servers: readonly ServerFacts[], redis: RedisOptions): void {
  for (const facts of servers) {
    const version = facts.get("redis_version") ?? "unknown";
    const [major = 0, minor = 0] = version.split(".").map(Number);
    const [majorMin, minorMin] = VERSION_MIN;
    if (major < majorMin || (major === majorMin && minor < minorMin)) {
      throw new StateError(
        "store_incompatible",
        `This Redis has version ${version}; it takes ${VERSION_MIN.join(".")} or later.`,
      );
    }
    assertMode(facts.get("redis_mode") ?? "standalone", redis);
  }
}

/** Sentinels lead to a server that is run as a single one. */
function assertMode(mode: string, { topology }: RedisOptions): void {
  const actual = Object.hasOwn(MODES, mode) ? MODES[mode] : undefined;
  const expected = topology === "cluster" ? "cluster" : "single";
  if (actual === undefined || actual === expected) return;
  const scheme = { single: "redis", cluster: "redis-cluster", sentinel: "redis-sentinel" }[actual];
  throw new StateError(
    "invalid_parameter",
    `This Redis is run as ${mode}: its URL begins with ${scheme}://.`,
    { details: { parameter: "store" } },
  );
}

/** Any node of a cluster knows which slot a name falls into. */
async function findSlots(
  executor: Executor,
  names: readonly string[],
  deadline: number,
): Promise<readonly number[]> {
  return executor.run({
    slot: 0,
    kind: "read",
    deadline,
    attempt: async (connection) => {
      const replies = names.map((name) => connection.send(["CLUSTER", "KEYSLOT", name]));
      return (await Promise.all(replies)).map(Number);
    },
  });
}

function incompatible(reason: string): StateError {
  return new StateError(
    "store_incompatible",
    `What Redis holds under this prefix can't be used. ${reason} Or choose another prefix.`,
  );
}
