import type { Key } from "../../key.ts";
import type {
  ChangeBatch,
  Cursor,
  EntryInfo,
  HistoryPage,
  KeyInfo,
  KeysPage,
  Outcome,
  Query,
  ReadResult,
  Store,
  StoreInfo,
  StoreOptions,
  Transaction,
} from "../../store.ts";
import { BatchSplitter } from "./batch-splitter.ts";
import { ConnectError } from "./classify.ts";
import { Committer } from "./commit.ts";
import { openSession, prepare, type Opening } from "./connect.ts";
import { Database } from "./database.ts";
import { FailureLog } from "../shared/failure-log.ts";
import { Feed } from "./feed.ts";
import { LatestCache } from "./latest-cache.ts";
import { readHistory, readKeys, trimHistory } from "./list.ts";
import { parseMysqlUrl } from "./options.ts";
import { Pool } from "./pool.ts";
import { readBatch } from "./read.ts";
import type { Session } from "./session.ts";
import type { ServerFacts } from "./settings.ts";
import { tablesOf } from "./sql.ts";
import { clearDeleted, sweep } from "./sweep.ts";

/**
 * One batch at a time, as large as can be: what a transaction costs beside its rows is paid once. The
 * requests that gather meanwhile keep this process busy for longer than the database is.
 */
const WRITE_LANES = 1;
const READ_LANES = 2;

/** Beside the lanes: housekeeping and trimming. */
const SPARE_WRITERS = 1;

/**
 * Writers are closed after a shorter time idle. The server ends a connection that says nothing for
 * about as long, and with it the locks of a process that vanished from the network.
 */
const WRITER_IDLE_MS = 10_000;

/** Opens a store in a MySQL or MariaDB database, and creates it there at the first start. */
export async function open(url: string, options: StoreOptions): Promise<Store> {
  const parsed = parseMysqlUrl(url);
  const opening: Opening = { options: parsed, tables: tablesOf(parsed.prefix), store: options };
  const facts = await prepare(opening);
  for (const { name, value, advice } of facts.settings) {
    if (advice !== undefined) options.log.warn({ name, value }, `Database setting: ${advice}`);
  }
  return new MysqlStore(openDatabase(opening, facts), facts, parsed.scheme);
}

function openDatabase(opening: Opening, facts: ServerFacts): Database {
  const { options, store, tables } = opening;
  const { clock } = store;
  // The database's time, less ours that never steps; every new connection measures it again.
  let offset = clock.now() - clock.monotonic();
  const connect = async (idleTimeoutMs: number, deadline: number): Promise<Session> => {
    const { database } = options;
    const { isGalera } = facts;
    const session = await openSession(opening, { database, idleTimeoutMs, isGalera, deadline });
    try {
      const [rows = []] = await session.run(["SELECT UNIX_TIMESTAMP(NOW(3))"], deadline);
      offset = Number(rows[0]?.[0]) * 1000 - clock.monotonic();
    } catch (error) {
      session.destroy();
      throw new ConnectError("the database does not tell the time", { cause: error });
    }
    return session;
  };
  const writers = Math.min(WRITE_LANES + SPARE_WRITERS, Math.floor(options.connectionLimit / 2));
  const pool = (size: number, idleTimeoutMs: number): Pool =>
    new Pool({
      connect: (deadline) => connect(idleTimeoutMs, deadline),
      size,
      clock,
      idleTimeoutMs,
    });
  return new Database({
    tables,
    clock,
    timeoutMs: store.timeoutMs,
    readers: pool(options.connectionLimit - writers, options.idleTimeoutMs),
    writers: pool(writers, Math.min(options.idleTimeoutMs, WRITER_IDLE_MS)),
    maxPacketBytes: facts.maxPacketBytes,
    isGalera: facts.isGalera,
    failures: new FailureLog("The database", store),
    serverTime: () => clock.monotonic() + offset,
  });
}

class MysqlStore implements Store {
  readonly info: StoreInfo;
  readonly #database: Database;
  readonly #cache = new LatestCache();
  readonly #feed: Feed;
  readonly #commits: BatchSplitter;

  constructor(database: Database, facts: ServerFacts, scheme: string) {
    this.#database = database;
    this.#feed = new Feed(database);
    this.#commits = new BatchSplitter(
      database,
      new Committer({
        database,
        cache: this.#cache,
        ring: () => this.#feed.ring(),
        clear: (session, life, deadline) => clearDeleted(database, session, life, deadline),
      }),
    );
    this.info = {
      scheme,
      product: facts.product,
      promise: facts.promise,
      settings: facts.settings,
      writeLanes: WRITE_LANES,
      readLanes: READ_LANES,
      transactions: "any-keys",
      watch: "poll",
      shared: true,
    };
  }

  async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    return readBatch(this.#database, this.#cache, queries);
  }

  async commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    return this.#commits.commit(transactions);
  }

  async history(key: Key, page: HistoryPage): Promise<readonly EntryInfo[]> {
    return readHistory(this.#database, key, page);
  }

  async keys(page: KeysPage): Promise<readonly KeyInfo[]> {
    return readKeys(this.#database, page);
  }

  changes(after: Cursor | "now", signal: AbortSignal): AsyncIterable<ChangeBatch> {
    this.#database.assertOpen();
    return this.#feed.follow(after, signal);
  }

  async trim(key: Key, incarnation: string, keepFrom: number, limit: number): Promise<number> {
    return trimHistory(this.#database, key, { incarnation, keepFrom, limit });
  }

  async maintain(options: { readonly feedRetentionMs: number }): Promise<boolean> {
    return sweep(this.#database, options);
  }

  async ping(): Promise<void> {
    await this.#database.read((session, deadline) => session.run(["SELECT 1"], deadline));
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}
