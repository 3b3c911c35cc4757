import { MongoClient, type MongoClientOptions } from "mongodb";
import { StateError } from "../../errors.ts";
import type { StoreOptions } from "../../store.ts";
import { classify, DeadlineError, isTransient } from "./classify.ts";
import { Database, retryDelayMs } from "./database.ts";
import { Deadline, settleWithin } from "./deadline.ts";
import { Elections } from "./elections.ts";
import { Journal } from "./journal.ts";
import type { MongodbOptions } from "./options.ts";
import { collectionNames, ensureSchema } from "./schema.ts";
import { readFacts, type ServerFacts } from "./settings.ts";

/** The oldest MongoDB whose commands the store uses. */
const OLDEST_VERSION = 6;

export interface Connected {
  readonly database: Database;
  readonly facts: ServerFacts;
}

/**
 * Connects, sets the schema up and looks at the settings; keeps trying for `connectTimeoutMs` where
 * MongoDB is away. Refused credentials end it at once, as they would not get better.
 */
export async function connect(options: MongodbOptions, store: StoreOptions): Promise<Connected> {
  const client = new MongoClient(options.driverUrl, clientOptions(options, store.timeoutMs));
  // Topology events reach listeners as errors nobody waits for; the calls themselves report them.
  client.on("error", () => {});
  const names = collectionNames(options.prefix);
  const database = new Database(client, options.database, names, store.timeoutMs);
  const deadline = new Deadline(store.clock, store.connectTimeoutMs);
  for (let attempt = 0; ; attempt += 1) {
    try {
      await settleWithin(Math.max(1, deadline.remainingMs()), () => client.connect());
      const facts = await readFacts(database, deadline);
      checkVersion(facts.version);
      await guardReads(database, facts.topology, deadline);
      await ensureSchema(database, deadline);
      return { database, facts };
    } catch (error) {
      const again = isTransient(error) || error instanceof DeadlineError;
      if (again && !deadline.isOver()) {
        await deadline.pause(retryDelayMs(attempt));
        continue;
      }
      await settleWithin(store.timeoutMs, () => client.close(true)).catch(() => {});
      throw classify(error, "no");
    }
  }
}

/** Has reads show nothing that can be taken back yet, and nothing that is not the latest any more. */
async function guardReads(
  database: Database,
  topology: ServerFacts["topology"],
  deadline: Deadline,
): Promise<void> {
  if (topology === "standalone") {
    database.journal ??= new Journal(database);
    await database.journal.begin(deadline);
  } else if (topology === "replica-set") {
    database.elections ??= new Elections(database);
    await database.elections.begin(deadline);
  }
}

/** Bounds for the phases of a call that the driver has its own timeouts for; a URL may set others. */
function clientOptions(options: MongodbOptions, timeoutMs: number): MongoClientOptions {
  const defaults: MongoClientOptions = {
    appName: "versioned-state-server",
    connectTimeoutMS: 2000,
    // Less than a call's time, so that a call that was never sent can say so.
    serverSelectionTimeoutMS: Math.ceil(timeoutMs / 2),
    waitQueueTimeoutMS: Math.ceil(timeoutMs / 4),
    // Ends what a call has left behind that passed its own deadline.
    socketTimeoutMS: timeoutMs,
    heartbeatFrequencyMS: 1000,
    maxConnecting: 8,
    maxPoolSize: 20,
  };
  const unset = Object.entries(defaults).filter(
    ([name]) => !options.driverParameters.has(name.toLowerCase()),
  );
  return {
    ...Object.fromEntries(unset),
    readConcern: { level: "majority" },
    readPreference: "primary",
    promoteBuffers: true,
  };
}

function checkVersion(version: string): void {
  if (Number.parseInt(version, 10) >= OLDEST_VERSION) return;
  throw new StateError(
    "store_incompatible",
    `This is MongoDB ${version}; the store needs ${OLDEST_VERSION}.0 or newer.`,
  );
}
