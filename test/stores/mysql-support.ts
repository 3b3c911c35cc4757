import type { TestContext } from "node:test";
import { createConnection, type Connection, type RowDataPacket } from "mysql2/promise";
import type { Store, StoreOptions } from "../../src/store.ts";
import { open } from "../../src/stores/mysql/store.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { silentLog } from "../../src/telemetry/log.ts";
import { PATIENCE_MS } from "./support.ts";

export const STORE_OPTIONS: StoreOptions = {
  clock: systemClock,
  log: silentLog,
  timeoutMs: PATIENCE_MS,
  connectTimeoutMs: PATIENCE_MS,
};

/** Opens a store that is closed with the test, also where the test fails. */
export async function openMysql(
  test: TestContext,
  url: string,
  more: Partial<StoreOptions> = {},
): Promise<Store> {
  const store = await open(url, { ...STORE_OPTIONS, ...more });
  test.after(() => store.close());
  return store;
}

/** A connection past the store, to look at its tables or to get in its way. */
export async function connectTo(test: TestContext, url: string): Promise<Connection> {
  const { hostname, port, username, password } = new URL(url);
  const connection = await createConnection({
    host: hostname,
    port: Number(port),
    user: username,
    password,
    database: "vss",
    multipleStatements: true,
  });
  test.after(() => connection.destroy());
  return connection;
}

/** Sets a global variable of the server for as long as `work` runs. */
export async function withGlobal(
  connection: Connection,
  setting: {
    readonly name: string;
    readonly value: string | number;
    readonly after: string | number;
  },
  work: () => Promise<void>,
): Promise<void> {
  await connection.query(`SET GLOBAL ${setting.name} = ${setting.value}`);
  try {
    await work();
  } finally {
    await connection.query(`SET GLOBAL ${setting.name} = ${setting.after}`);
  }
}

/** The prefix of a store's tables. */
export function prefixOf(url: string): string {
  return new URL(url).searchParams.get("prefix") ?? "vss";
}

/** The only value that a statement answers. */
export async function valueOf(connection: Connection, sql: string): Promise<unknown> {
  const [rows] = await connection.query<RowDataPacket[]>(sql);
  return Object.values(rows[0] ?? {})[0];
}
