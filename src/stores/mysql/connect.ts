import { setTimeout as sleep } from "node:timers/promises";
import { StateError } from "../../errors.ts";
import type { StoreOptions } from "../../store.ts";
import { classify, ConnectError, isPermanent, isUnknownDatabase } from "./classify.ts";
import type { MysqlOptions } from "./options.ts";
import { prepareSchema } from "./schema.ts";
import { Session } from "./session.ts";
import { readServerFacts, unusableBecause, type ServerFacts } from "./settings.ts";
import type { Tables } from "./sql.ts";

/** First and longest wait between attempts to reach a database that is away, in milliseconds. */
const WAIT_MS_MIN = 50;
const WAIT_MS_MAX = 500;

/** What the store is opened with. */
export interface Opening {
  readonly options: MysqlOptions;
  readonly tables: Tables;
  readonly store: StoreOptions;
}

/**
 * Reaches the database, creates what is missing, and reads how it is set up. Retries a database that
 * is away for `connectTimeoutMs`; refused credentials and foreign data are not worth waiting for.
 */
export async function prepare(opening: Opening): Promise<ServerFacts> {
  const { clock, connectTimeoutMs } = opening.store;
  const deadline = clock.monotonic() + connectTimeoutMs;
  let reason: StateError | undefined;
  for (let waitMs = WAIT_MS_MIN; ; waitMs = Math.min(waitMs * 2, WAIT_MS_MAX)) {
    try {
      return await prepareOnce(opening, deadline);
    } catch (error) {
      const failure = classify(error);
      if (isPermanent(failure)) throw failure;
      const remaining = deadline - clock.monotonic();
      // The last attempt ends because time is up, which says less than the one before it.
      if (remaining > 0 || reason === undefined) reason = failure;
      if (remaining <= 0) throw gaveUp(reason, connectTimeoutMs);
      await sleep(Math.min(waitMs, remaining));
    }
  }
}

function gaveUp(reason: StateError, connectTimeoutMs: number): StateError {
  if (reason.code !== "store_unavailable") return reason;
  return new StateError(
    "store_unavailable",
    `The database could not be reached within ${connectTimeoutMs} ms.`,
    { cause: reason.cause },
  );
}

async function prepareOnce(opening: Opening, deadline: number): Promise<ServerFacts> {
  const session = await openCreating(opening, deadline);
  try {
    const facts = await readServerFacts(session, deadline);
    const reason = unusableBecause(facts);
    if (reason !== undefined) throw new StateError("store_incompatible", reason);
    await prepareSchema(session, opening.tables, deadline);
    return facts;
  } finally {
    await session.quit();
  }
}

/** Creates the database itself where it does not exist, and the user may. */
async function openCreating(opening: Opening, deadline: number): Promise<Session> {
  const { database, idleTimeoutMs } = opening.options;
  const use = { idleTimeoutMs, isGalera: false, deadline };
  try {
    return await openSession(opening, { ...use, database });
  } catch (error) {
    if (!(error instanceof ConnectError) || !isUnknownDatabase(error.cause)) throw error;
  }
  const session = await openSession(opening, { ...use, database: undefined });
  try {
    // The name holds no backtick: the URL's reader refuses one.
    await session.run([`CREATE DATABASE IF NOT EXISTS \`${database}\``], deadline);
  } finally {
    await session.quit();
  }
  return openSession(opening, { ...use, database });
}

/** Opens one connection, set up as every statement of the store expects it. */
export function openSession(
  { options, store }: Opening,
  use: {
    readonly database: string | undefined;
    readonly idleTimeoutMs: number;
    readonly isGalera: boolean;
    readonly deadline: number;
  },
): Promise<Session> {
  const setup = sessionSetup(store.timeoutMs, use.idleTimeoutMs, use.isGalera);
  const { driver } = options;
  const { database, isGalera, deadline } = use;
  return Session.open(
    { driver, database, setup, isOneByOne: isGalera, clock: store.clock },
    deadline,
  );
}

/**
 * Locks are waited for briefly, and a connection that we have lost sight of is ended by the server, so
 * that it holds no locks. What one product alone has stands in a comment that the other skips.
 */
function sessionSetup(timeoutMs: number, idleTimeoutMs: number, isGalera: boolean): string[] {
  const timeoutSeconds = Math.max(1, Math.ceil(timeoutMs / 1000));
  const lockWaitSeconds = Math.max(1, Math.min(3, timeoutSeconds - 1));
  const idleSeconds = Math.ceil(idleTimeoutMs / 1000) + timeoutSeconds;
  const settings = [
    "SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    "SESSION autocommit = 1",
    // With another one, an hour of each autumn comes twice, and `NOW` does not say which it is.
    "SESSION time_zone = '+00:00'",
    `SESSION innodb_lock_wait_timeout = ${lockWaitSeconds}`,
    `SESSION wait_timeout = ${idleSeconds}`,
    ...(isGalera ? ["SESSION wsrep_sync_wait = 1"] : []),
  ];
  return [
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    `SET ${settings.join(", ")}` +
      ` /*M! , SESSION max_statement_time = ${timeoutSeconds}` +
      `, SESSION idle_write_transaction_timeout = ${timeoutSeconds} */` +
      ` /*!80000 , SESSION max_execution_time = ${timeoutSeconds * 1000} */`,
  ];
}
