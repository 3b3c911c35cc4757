import { VALUE_BYTES_CEILING } from "../../limits.ts";
import type { Setting } from "../../store.ts";
import { toText } from "./rows.ts";
import type { Session } from "./session.ts";
import { textLiteral } from "./sql.ts";

/** Beside a value, one packet holds its key, its metadata and the protocol's own bytes. */
export const PACKET_OVERHEAD_BYTES = 16 * 1024;

/** The longest legal statements, such as one that locks the keys of a whole transaction, fit into this. */
const PACKET_BYTES_MIN = 4 * 1024 * 1024;

const VARIABLES = [
  "version",
  "version_comment",
  "innodb_flush_log_at_trx_commit",
  "innodb_doublewrite",
  "log_bin",
  "sync_binlog",
  "read_only",
  "super_read_only",
  "innodb_read_only",
  "max_allowed_packet",
  "wsrep_on",
  "rpl_semi_sync_master_enabled",
  "rpl_semi_sync_source_enabled",
];

const STATUS = [
  "wsrep_cluster_status",
  "wsrep_local_state_comment",
  "Rpl_semi_sync_master_status",
  "Rpl_semi_sync_source_status",
];

/** Names are in lower case; a variable that this product does not have is missing. */
type Variables = ReadonlyMap<string, string>;

/** What the server is, and how it is set up. */
export interface ServerFacts {
  readonly product: string;
  readonly promise: string;
  readonly settings: readonly Setting[];
  readonly isGalera: boolean;
  readonly maxPacketBytes: number;
}

/** Reads the settings that decide what an acknowledged write survives. */
export async function readServerFacts(session: Session, deadline: number): Promise<ServerFacts> {
  const list = (names: readonly string[]): string =>
    names.map((name) => textLiteral(name)).join(",");
  const results = await session.run(
    [
      `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${list(VARIABLES)})`,
      `SHOW GLOBAL STATUS WHERE Variable_name IN (${list(STATUS)})`,
    ],
    deadline,
  );
  const variables: Variables = new Map(
    results
      .flat()
      .map(([name, value]) => [String(toText(name)).toLowerCase(), toText(value) ?? ""]),
  );
  const settings = judge(variables);
  return {
    product: productOf(variables),
    promise: promiseOf(variables),
    settings,
    isGalera: isOn(variables, "wsrep_on"),
    maxPacketBytes: Number(variables.get("max_allowed_packet") ?? PACKET_BYTES_MIN),
  };
}

/** Answers why the store can't work with this server, or undefined where it can. */
export function unusableBecause(facts: ServerFacts): string | undefined {
  if (facts.maxPacketBytes >= PACKET_BYTES_MIN) return undefined;
  return (
    `The database's max_allowed_packet is ${facts.maxPacketBytes} bytes, and this store needs at ` +
    "least 4M. Set it to 16M or more in the server's configuration."
  );
}

function productOf(variables: Variables): string {
  const version = variables.get("version") ?? "";
  if (/tidb/i.test(version)) return `TiDB ${version}`;
  return version.includes("MariaDB")
    ? `MariaDB ${version.replace(/-MariaDB.*/, "")}`
    : `MySQL ${version}`;
}

export function judge(variables: Variables): readonly Setting[] {
  return [
    ...flushSetting(variables),
    ...doublewriteSetting(variables),
    ...binlogSetting(variables),
    ...readOnlySetting(variables),
    ...packetSetting(variables),
    ...galeraSetting(variables),
    ...semiSyncSetting(variables),
  ];
}

function isOn(variables: Variables, name: string): boolean {
  return ["ON", "1", "YES"].includes((variables.get(name) ?? "").toUpperCase());
}

/** A setting by name, `weak` with its advice unless `ok`; none where the product does not have it. */
function verdict(
  variables: Variables,
  name: string,
  isOk: (value: string) => boolean,
  advice: string,
): readonly Setting[] {
  const value = variables.get(name);
  if (value === undefined) return [];
  return isOk(value)
    ? [{ name, value, verdict: "ok" }]
    : [{ name, value, verdict: "weak", advice }];
}

function flushSetting(variables: Variables): readonly Setting[] {
  const name = "innodb_flush_log_at_trx_commit";
  if (!variables.has(name)) {
    const advice = "The server does not say whether a commit is on disk before it is answered.";
    return [{ name, value: "", verdict: "unknown", advice }];
  }
  return verdict(
    variables,
    name,
    // 3 is MariaDB's stricter form of 1.
    (value) => value === "1" || value === "3",
    "About one second of acknowledged writes can be lost, with 2 at a power cut, with 0 also when " +
      "the database's process dies. Set it to 1.",
  );
}

function doublewriteSetting(variables: Variables): readonly Setting[] {
  return verdict(
    variables,
    "innodb_doublewrite",
    (value) => !["OFF", "0", "DETECT_ONLY"].includes(value.toUpperCase()),
    "A power cut in the middle of writing a page can destroy the page. Set it to ON.",
  );
}

function binlogSetting(variables: Variables): readonly Setting[] {
  if (!isOn(variables, "log_bin")) return [];
  return verdict(
    variables,
    "sync_binlog",
    (value) => value === "1",
    "A power cut can lose the last acknowledged writes, as InnoDB leaves the flush of a commit to the " +
      "binary log, and replicas may have what the database has lost. Set it to 1.",
  );
}

function readOnlySetting(variables: Variables): readonly Setting[] {
  return ["read_only", "super_read_only", "innodb_read_only"].flatMap((name) =>
    verdict(
      variables,
      name,
      () => !isOn(variables, name),
      "Writes are refused. Point the store at the primary, or turn this off.",
    ),
  );
}

function packetSetting(variables: Variables): readonly Setting[] {
  const name = "max_allowed_packet";
  const value = variables.get(name);
  if (value === undefined) return [];
  const valueBytesMax = Number(value) - PACKET_OVERHEAD_BYTES;
  if (valueBytesMax >= VALUE_BYTES_CEILING) return [{ name, value, verdict: "ok" }];
  // Nothing can be lost by it, so it is no weakness, but it has to be said.
  const advice = `Values above ${valueBytesMax} bytes are refused. Set it to 16M or more.`;
  return [{ name, value, verdict: "ok", advice }];
}

function galeraSetting(variables: Variables): readonly Setting[] {
  if (!isOn(variables, "wsrep_on")) return [];
  const status = variables.get("wsrep_cluster_status") ?? "";
  const state = variables.get("wsrep_local_state_comment") ?? "";
  return [
    {
      name: "wsrep_on",
      value: `ON, ${status}, ${state}`,
      verdict: "weak",
      advice:
        "A Galera cluster can lose acknowledged writes when a node fails. Send all writes to one " +
        "node, with innodb_flush_log_at_trx_commit=1 on every node.",
    },
  ];
}

function semiSyncSetting(variables: Variables): readonly Setting[] {
  return ["master", "source"].flatMap((role) => {
    if (!isOn(variables, `rpl_semi_sync_${role}_enabled`)) return [];
    return verdict(
      variables,
      `rpl_semi_sync_${role}_status`,
      (value) => value.toUpperCase() === "ON",
      "No replica confirms commits at the moment, so a failover can lose acknowledged writes.",
    );
  });
}

/** What an acknowledged write survives, in a sentence. */
export function promiseOf(variables: Variables): string {
  const galera = isOn(variables, "wsrep_on")
    ? " In a Galera cluster it can be lost when a node fails."
    : "";
  const flush = variables.get("innodb_flush_log_at_trx_commit");
  // InnoDB leaves the flush of a commit to the binary log, where there is one.
  const isLeftToSystem = isOn(variables, "log_bin") && variables.get("sync_binlog") !== "1";
  switch (flush === "1" && isLeftToSystem ? "2" : flush) {
    case "1":
    case "3":
      return `An acknowledged write survives a crash of the database and a power cut.${galera}`;
    case "2":
      return (
        "An acknowledged write survives a crash of the database's process; a power cut can lose " +
        `about the last second.${galera}`
      );
    case "0":
      return `A crash of the database can lose about the last second of acknowledged writes.${galera}`;
    default:
      return `What an acknowledged write survives is not known: the server does not say.${galera}`;
  }
}
