import type { Document } from "mongodb";
import type { Setting } from "../../store.ts";
import { serverCode } from "./classify.ts";
import type { Database } from "./database.ts";
import type { Deadline } from "./deadline.ts";

/** What kind of MongoDB answers, and what it is set to. */
export interface ServerFacts {
  readonly version: string;
  readonly topology: "standalone" | "replica-set" | "sharded";
  readonly promise: string;
  readonly settings: readonly Setting[];
}

interface Hello {
  readonly setName?: string;
  readonly msg?: string;
}

/** The parts of a replica set's configuration that decide what a majority is. */
interface SetConfig {
  readonly members: readonly { readonly votes: number; readonly arbiterOnly: boolean }[];
  readonly writeConcernMajorityJournalDefault: boolean;
}

const NOT_AUTHORIZED = 13;

export async function readFacts(database: Database, deadline: Deadline): Promise<ServerFacts> {
  const admin = (command: Document): Promise<Document> => database.admin(command, deadline);
  const hello = (await admin({ hello: 1 })) as Hello;
  const { version } = (await admin({ buildInfo: 1 })) as { readonly version: string };
  const writes: Setting = { name: "writeConcern", value: "majority, journaled", verdict: "ok" };
  if (hello.msg === "isdbgrid") {
    const promise =
      "An acknowledged write is in the journals of a majority of its shard's members.";
    const topology: Setting = { name: "topology", value: "sharded cluster", verdict: "ok" };
    return { version, topology: "sharded", promise, settings: [topology, writes] };
  }
  const engine = await readEngine(admin);
  if (hello.setName === undefined) {
    return { version, ...STANDALONE, settings: [STANDALONE_SETTING, writes, engine] };
  }
  const config = await readConfig(admin);
  return {
    version,
    topology: "replica-set",
    promise: promiseOf(config),
    settings: [...settingsOf(config), writes, engine],
  };
}

const STANDALONE = {
  topology: "standalone",
  promise:
    "An acknowledged write is in the journal of the one server: it survives a crash and a loss of " +
    "power, not the loss of that disk.",
} as const;

const STANDALONE_SETTING: Setting = {
  name: "topology",
  value: "standalone",
  verdict: "weak",
  advice:
    "There is one copy, no watch, and no transaction over several keys. Start mongod with " +
    "--replSet and run rs.initiate() once; one member is enough for the latter two.",
};

type Admin = (command: Document) => Promise<Document>;

/** Undefined where the user may not look. */
async function readConfig(admin: Admin): Promise<SetConfig | undefined> {
  const reply = await ifAllowed(() => admin({ replSetGetConfig: 1 }));
  return (reply as { readonly config: SetConfig } | undefined)?.config;
}

async function readEngine(admin: Admin): Promise<Setting> {
  const only = { repl: 0, metrics: 0, locks: 0, wiredTiger: 0, tcmalloc: 0, storageEngine: 1 };
  const reply = await ifAllowed(() => admin({ serverStatus: 1, ...only }));
  const engine = reply as { readonly storageEngine: StorageEngine } | undefined;
  if (engine === undefined) return { ...unknown("storageEngine"), advice: GRANT };
  const { name, persistent } = engine.storageEngine;
  if (persistent) return { name: "storageEngine", value: name, verdict: "ok" };
  const advice = "Everything is lost when mongod stops. Use the WiredTiger storage engine.";
  return { name: "storageEngine", value: name, verdict: "weak", advice };
}

interface StorageEngine {
  readonly name: string;
  readonly persistent: boolean;
}

const GRANT = "Grant the user the role clusterMonitor, so that the server can look.";

function unknown(name: string): Setting {
  return { name, value: "not allowed to look", verdict: "unknown", advice: GRANT };
}

async function ifAllowed(call: () => Promise<Document>): Promise<Document | undefined> {
  try {
    return await call();
  } catch (error) {
    if (serverCode(error) === NOT_AUTHORIZED) return undefined;
    throw error;
  }
}

/** How many members with data a write waits for. */
function majorityOf({ members }: SetConfig): { readonly copies: number; readonly voters: number } {
  const voting = members.filter((member) => member.votes > 0);
  const withData = voting.filter((member) => !member.arbiterOnly).length;
  const copies = Math.min(Math.floor(voting.length / 2) + 1, withData);
  return { copies, voters: voting.length };
}

function promiseOf(config: SetConfig | undefined): string {
  if (config === undefined) {
    return "An acknowledged write is in the journals of a majority of the replica set's members.";
  }
  const { copies, voters } = majorityOf(config);
  if (voters === 1) {
    return (
      "An acknowledged write is in the journal of the one member: it survives a crash and a loss " +
      "of power, not the loss of that disk."
    );
  }
  return (
    `An acknowledged write is in the journals of ${copies} of ${voters} members: it survives the ` +
    "loss of a minority, a failover and a loss of power."
  );
}

function settingsOf(config: SetConfig | undefined): readonly Setting[] {
  if (config === undefined) return [unknown("replicaSetConfiguration")];
  const { copies, voters } = majorityOf(config);
  const isAlone = copies === 1 && voters > 1;
  const members: Setting = {
    name: "topology",
    value: `replica set, ${voters} voting`,
    verdict: isAlone ? "weak" : "ok",
    ...(isAlone
      ? { advice: "A majority holds one copy of the data only. Replace arbiters by members." }
      : {}),
  };
  const journaled = config.writeConcernMajorityJournalDefault;
  const journal: Setting = {
    name: "writeConcernMajorityJournalDefault",
    value: String(journaled),
    verdict: journaled ? "ok" : "weak",
    ...(journaled
      ? {}
      : { advice: "What is read may be lost with the power of all members. Set it to true." }),
  };
  return [members, journal];
}
