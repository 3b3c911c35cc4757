import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { MongoClient, type Document } from "mongodb";
import { ensureMongod } from "../../scripts/mongod.ts";
import {
  freePort,
  removeFolder,
  ServerProcess,
  temporaryFolder,
  waitUntil,
  type TestServer,
} from "./process.ts";

/** A standalone mongod, or a replica set with a handle on each of its members. */
export interface MongodbServer extends TestServer {
  readonly members: readonly MongodbMember[];
  /** The member that is the primary at the moment; waits for an election to end. */
  primary(): Promise<MongodbMember>;
}

export interface MongodbMember {
  /** Reaches this member alone. */
  readonly url: string;
  signal(name: NodeJS.Signals): void;
  readonly isRunning: boolean;
  /** Kills it, so that nothing is flushed, and waits for its end. */
  kill(): Promise<void>;
  /** Starts it again over the same data; answers when it takes connections. */
  restart(): Promise<void>;
  /** Sends an administrative command; undefined where the member does not answer, or refuses. */
  command(command: Document): Promise<Document | undefined>;
}

export interface MongodbServerOptions {
  /** One member where true. */
  readonly replicaSet?: boolean | { readonly members: number; readonly electionTimeoutMs?: number };
  /** Arguments for mongod beside its usual ones, such as `--auth`. */
  readonly args?: readonly string[];
  /** Where its folder is made, such as on a small disk. */
  readonly below?: string;
  /** What it keeps of its data in memory; 0.25 unless told, where its own choice is half of all. */
  readonly cacheGiB?: number;
}

const SET_NAME = "vss";

/**
 * Starts MongoDB on free loopback ports over a temporary folder, journaled as by default, with a
 * small cache. Where VSS_TEST_MONGODB_URL (standalone) or VSS_TEST_MONGODB_REPLICA_SET_URL is set,
 * that server is used instead, which cannot be stopped or hurt.
 */
export async function startMongodb(options: MongodbServerOptions = {}): Promise<MongodbServer> {
  const { replicaSet = false, args = [], below, cacheGiB = 0.25 } = options;
  const variable = replicaSet ? "VSS_TEST_MONGODB_REPLICA_SET_URL" : "VSS_TEST_MONGODB_URL";
  const external = process.env[variable];
  // A test that asks for more than the usual gets its own, which it may hurt.
  const isPlain = typeof replicaSet === "boolean" && args.length === 0 && below === undefined;
  if (external !== undefined && isPlain) return externalServer(external);

  const mongod = await ensureMongod();
  const folder = await temporaryFolder("mongodb", below);
  const count = typeof replicaSet === "object" ? replicaSet.members : 1;
  const set = replicaSet === false ? [] : ["--replSet", SET_NAME, "--oplogSize", "256"];
  const cache = ["--wiredTigerCacheSizeGB", `${cacheGiB}`];
  const members: Member[] = [];
  try {
    for (let index = 0; index < count; index += 1) {
      members.push(
        await Member.create(mongod, join(folder, `${index}`), [...args, ...set, ...cache]),
      );
    }
    await Promise.all(members.map((member) => member.restart()));
    if (replicaSet !== false) await initiate(members, replicaSet);
    await findPrimary(members);
  } catch (error) {
    await stopAll(members, folder);
    throw error;
  }
  return {
    url: `mongodb://${members.map((member) => member.host).join(",")}/vss`,
    members,
    primary: () => findPrimary(members),
    signal: (name) => members.forEach((member) => member.signal(name)),
    get isRunning() {
      return members.every((member) => member.isRunning);
    },
    get pids() {
      return members.map((member) => member.pid);
    },
    restart: async () => {
      await Promise.all(members.map((member) => member.restart()));
      await findPrimary(members);
    },
    stop: () => stopAll(members, folder),
  };
}

class Member implements MongodbMember {
  readonly host: string;
  readonly url: string;
  readonly #process: ServerProcess;

  private constructor(host: string, server: ServerProcess) {
    this.host = host;
    this.url = `mongodb://${host}/?directConnection=true`;
    this.#process = server;
  }

  static async create(mongod: string, folder: string, more: readonly string[]): Promise<Member> {
    const port = await freePort();
    await mkdir(folder, { recursive: true });
    const place = [
      "--dbpath",
      folder,
      "--port",
      `${port}`,
      "--bind_ip",
      "127.0.0.1",
      "--nounixsocket",
    ];
    const quiet = ["--setParameter", "diagnosticDataCollectionEnabled=false"];
    const args = [...place, ...quiet, ...more];
    const log = join(folder, "mongod.log");
    return new Member(`127.0.0.1:${port}`, new ServerProcess(mongod, args, log));
  }

  async restart(): Promise<void> {
    await this.#process.ended();
    await this.#process.start(async () => (await this.command({ ping: 1 })) !== undefined);
  }

  signal(name: NodeJS.Signals): void {
    this.#process.signal(name);
  }

  get isRunning(): boolean {
    return this.#process.isRunning;
  }

  get pid(): number {
    return this.#process.pid;
  }

  async kill(): Promise<void> {
    await this.#process.kill();
  }

  async command(command: Document): Promise<Document | undefined> {
    const timeouts = { serverSelectionTimeoutMS: 1000, connectTimeoutMS: 1000 };
    const client = new MongoClient(this.url, { ...timeouts, socketTimeoutMS: 10_000 });
    try {
      return await client.db("admin").command(command);
    } catch {
      return undefined;
    } finally {
      await client.close();
    }
  }
}

async function initiate(
  members: readonly Member[],
  replicaSet: NonNullable<MongodbServerOptions["replicaSet"]>,
): Promise<void> {
  const { electionTimeoutMs = 10_000 } = typeof replicaSet === "object" ? replicaSet : {};
  const config = {
    _id: SET_NAME,
    members: members.map((member, index) => ({ _id: index, host: member.host })),
    settings: {
      electionTimeoutMillis: electionTimeoutMs,
      heartbeatIntervalMillis: Math.min(2000, electionTimeoutMs / 4),
      // Every secondary follows the primary: which member it hangs on does not depend on their pings.
      chainingAllowed: false,
    },
  };
  await waitUntil("the start of the replica set", async () => {
    await members[0]?.command({ replSetInitiate: config });
    // A second time it is refused, and the answer to the first may have been lost.
    return (await members[0]?.command({ replSetGetConfig: 1 })) !== undefined;
  });
  // A member that is still making its first copy cannot take over from a primary that is killed.
  await waitUntil("the first copy of every member", async () => {
    const states = await Promise.all(members.map((member) => member.command({ hello: 1 })));
    return states.every((hello) => hello?.["isWritablePrimary"] || hello?.["secondary"]);
  });
}

async function findPrimary(members: readonly Member[]): Promise<Member> {
  let primary: Member | undefined;
  await waitUntil("a MongoDB that takes writes", async () => {
    for (const member of members) {
      const hello = await member.command({ hello: 1 });
      if (hello?.["isWritablePrimary"] === true) primary = member;
    }
    return primary !== undefined;
  });
  if (primary === undefined) throw new Error("No member is the primary.");
  return primary;
}

async function stopAll(members: readonly Member[], folder: string): Promise<void> {
  await Promise.all(members.map((member) => member.kill()));
  await removeFolder(folder);
}

function externalServer(url: string): MongodbServer {
  const refuse = (): never => {
    throw new Error("This test stops or hurts its MongoDB, and was given one that is not its own.");
  };
  const [primary, signal, restart] = [refuse, refuse, refuse];
  const stop = (): Promise<void> => Promise.resolve();
  return { url, members: [], isRunning: true, pids: [], primary, signal, restart, stop };
}
