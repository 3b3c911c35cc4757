import type { Setting } from "../../store.ts";
import { classify, toStateError } from "./classify.ts";
import type { Connection } from "./connection.ts";
import type { RedisOptions } from "./options.ts";

/** What was read of the servers at the start. */
export interface Survey {
  readonly product: string;
  readonly promise: string;
  readonly settings: readonly Setting[];
}

/** One server's settings and state by name. A name is missing where the server does not show it. */
export type ServerFacts = ReadonlyMap<string, string>;

interface Rule {
  readonly name: string;
  readonly good: string;
  /** What can be lost otherwise, and what to set. */
  readonly advice: string;
}

const RULES: readonly Rule[] = [
  {
    name: "role",
    good: "master",
    advice: "A replica takes no writes. Name its primary in the store's URL.",
  },
  {
    name: "appendonly",
    good: "yes",
    advice: "A crash of Redis loses all since its last snapshot. Set appendonly to yes.",
  },
  {
    name: "appendfsync",
    good: "always",
    advice: "A power cut loses the last second or more. Set appendfsync to always.",
  },
  {
    name: "no-appendfsync-on-rewrite",
    good: "no",
    advice: "A power cut during a rewrite of the append-only file loses writes. Set it to no.",
  },
  {
    name: "aof_last_write_status",
    good: "ok",
    advice: "Redis fails to write its append-only file. Look at its disk.",
  },
  {
    name: "maxmemory-policy",
    good: "noeviction",
    advice: "Short of memory, Redis drops keys with all versions. Set it to noeviction.",
  },
];

const UNKNOWN_ADVICE =
  "Redis does not show it. Allow this user CONFIG GET, or look there yourself.";

/** What CONFIG GET is asked for; INFO has the rest. */
const CONFIG_NAMES = [
  "appendonly",
  "appendfsync",
  "no-appendfsync-on-rewrite",
  "maxmemory-policy",
  "min-replicas-to-write",
] as const;

/** Reads what one server shows of itself. Managed services often deny CONFIG. */
export async function readFacts(connection: Connection): Promise<ServerFacts> {
  try {
    return await read(connection);
  } catch (error) {
    throw toStateError(classify(error), false);
  }
}

async function read(connection: Connection): Promise<ServerFacts> {
  const facts = new Map<string, string>();
  const info = String(await connection.send(["INFO"]));
  for (const [, name = "", value = ""] of info.matchAll(/^([^#:\r\n]+):([^\r\n]*)/gm)) {
    facts.set(name, value);
  }
  const aof = facts.get("aof_enabled");
  if (aof !== undefined) facts.set("appendonly", aof === "1" ? "yes" : "no");
  for (const name of CONFIG_NAMES) {
    try {
      const reply = await connection.send(["CONFIG", "GET", name]);
      if (Array.isArray(reply) && reply.length === 2) facts.set(name, String(reply[1]));
    } catch (error) {
      if (classify(error).kind !== "refused") throw error;
    }
  }
  return facts;
}

/** Judges the settings of all servers; the worst one counts. */
export function survey(servers: readonly ServerFacts[], redis: RedisOptions): Survey {
  const settings = RULES.map((rule) => judge(rule, servers)).filter(
    ({ name }) => !isIrrelevant(name, servers),
  );
  // Where there is no replica there is no failover that could lose anything.
  const hasReplicas = Math.max(...servers.map(countReplicas)) > 0;
  const canFailOver = (redis.replicas ?? 0) > 0 || hasReplicas;
  if (canFailOver) settings.push(judgeReplicas(servers, redis.replicas));
  return {
    product: describeProduct(servers, redis),
    promise: describePromise(settings, { canFailOver, replicas: redis.replicas }),
    settings,
  };
}

function judge({ name, good, advice }: Rule, servers: readonly ServerFacts[]): Setting {
  const values = servers.map((facts) => facts.get(name));
  const value = [...new Set(values.map((one) => one ?? "unknown"))].join(", ");
  const known = values.filter((one) => one !== undefined);
  if (known.some((one) => one !== good)) return { name, value, verdict: "weak", advice };
  if (known.length < values.length) {
    return { name, value, verdict: "unknown", advice: UNKNOWN_ADVICE };
  }
  return { name, value, verdict: "ok" };
}

/** How the append-only file is synced says nothing where there is none. */
function isIrrelevant(name: string, servers: readonly ServerFacts[]): boolean {
  const needsAof = /^(?:appendfsync|no-appendfsync-on-rewrite|aof_last_write_status)$/.test(name);
  return needsAof && servers.every((facts) => facts.get("appendonly") === "no");
}

function countReplicas(facts: ServerFacts): number {
  return Number(facts.get("connected_slaves") ?? 0);
}

function judgeReplicas(servers: readonly ServerFacts[], asked: number | undefined): Setting {
  const name = "replicas that confirm a write";
  if (asked === 0) {
    const advice = "A failover loses the latest writes. Leave replicas=0 out of the store's URL.";
    return { name, value: "0", verdict: "weak", advice };
  }
  if (asked !== undefined) return { name, value: String(asked), verdict: "ok" };
  const value = "1 while one is connected";
  if (servers.every((facts) => Number(facts.get("min-replicas-to-write") ?? 0) > 0)) {
    return { name, value, verdict: "ok" };
  }
  return {
    name,
    value,
    verdict: "weak",
    advice:
      "A failover just after the replica was lost loses writes. Set min-replicas-to-write to 1, or " +
      "replicas=1 in the store's URL; writes then wait for a replica.",
  };
}

function describeProduct(servers: readonly ServerFacts[], redis: RedisOptions): string {
  const versions = servers.map(
    (facts) => facts.get("valkey_version") ?? facts.get("redis_version") ?? "of unknown version",
  );
  const name = servers.some((facts) => facts.has("valkey_version")) ? "Valkey" : "Redis";
  const kind = { single: "", cluster: ` Cluster (${servers.length} primaries)`, sentinel: "" };
  const suffix = redis.topology === "sentinel" ? " with Sentinel" : "";
  return `${name} ${[...new Set(versions)].join(", ")}${kind[redis.topology]}${suffix}`;
}

function describePromise(
  settings: readonly Setting[],
  {
    canFailOver,
    replicas,
  }: { readonly canFailOver: boolean; readonly replicas: number | undefined },
): string {
  const valueOf = (name: string): string | undefined =>
    settings.find((setting) => setting.name === name)?.value;
  const sentences = [describeDisk(valueOf("appendonly"), valueOf("appendfsync"))];
  if (canFailOver && replicas === undefined) {
    sentences.push("A replica has confirmed it, while one is connected.");
  } else if (replicas !== undefined && replicas > 0) {
    sentences.push(`${replicas} ${replicas === 1 ? "replica has" : "replicas have"} confirmed it.`);
  }
  if (canFailOver) {
    sentences.push("A failover is best effort: it can lose acknowledged writes.");
  }
  if (settings.some(({ name, verdict }) => name === "maxmemory-policy" && verdict === "weak")) {
    sentences.push("Short of memory, Redis may drop keys.");
  }
  return sentences.join(" ");
}

function describeDisk(appendonly: string | undefined, appendfsync: string | undefined): string {
  if (appendonly === "no") {
    return "An acknowledged write is in Redis's memory; a crash of Redis loses all since its last snapshot.";
  }
  if (appendonly !== "yes") return "What an acknowledged write survives is not known.";
  switch (appendfsync) {
    case "always":
      return "An acknowledged write is on Redis's disk.";
    case "everysec":
      return "An acknowledged write survives a crash of Redis; a power cut can lose the last second.";
    case "no":
      return "An acknowledged write survives a crash of Redis; a power cut can lose the last half minute.";
    default:
      return "An acknowledged write is in Redis's append-only file; whether on disk is not known.";
  }
}
