import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  freePort,
  removeFolder,
  ServerProcess,
  temporaryFolder,
  type TestServer,
} from "./process.ts";

const run = promisify(execFile);

/** What a test may change about the server. */
export interface MariadbOptions {
  /** Further options of `mariadbd`, such as `--max-allowed-packet=4M`. They win over ours. */
  readonly args?: readonly string[];
  /** Where its folder is made, such as on a small disk. */
  readonly below?: string;
}

const USER = "vss";
const PASSWORD = "test-password";

/**
 * A program to start in place of MariaDB's: the `mysqld` of a MySQL, which Debian's releases do not
 * have, and for which the suites are the same.
 */
const MYSQLD = process.env["VSS_TEST_MYSQLD"] ?? "";

/** A small server that flushes its log at every commit, as a durable one in earnest would. */
const SETTINGS: readonly string[] = [
  "--bind-address=127.0.0.1",
  "--skip-name-resolve",
  "--innodb-buffer-pool-size=64M",
  "--loose-innodb-log-file-size=64M",
  "--innodb-flush-log-at-trx-commit=1",
  "--performance-schema=off",
  "--max-connections=200",
];

/**
 * Starts a MariaDB of its own on a free loopback port, with a user that may do everything (or, by
 * `VSS_TEST_MYSQLD`, a MySQL). Answers the one that `VSS_TEST_MYSQL_URL` names, if any, which can't be
 * hurt: `signal` and `restart` refuse there.
 */
export async function startMariadb(options: MariadbOptions = {}): Promise<TestServer> {
  const given = process.env["VSS_TEST_MYSQL_URL"];
  if (given !== undefined && given !== "") return existingServer(given);
  const folder = await temporaryFolder("mariadb", options.below);
  const data = join(folder, "data");
  const user = process.getuid?.() === 0 ? ["--user=root"] : [];
  // A server that starts removes from its temporary folder what it takes for leftovers of its own. In
  // a shared one those may be a neighbour's, which is why the one that makes the tables has its own too.
  const own = ["--no-defaults", ...user, `--datadir=${data}`, `--tmpdir=${folder}`];
  await install(data, own);
  const port = await freePort();
  const server = new ServerProcess(
    MYSQLD === "" ? "mariadbd" : MYSQLD,
    [
      ...own,
      ...(MYSQLD === "" ? [] : ["--mysqlx=OFF", "--secure-file-priv="]),
      `--socket=${join(folder, "socket")}`,
      `--pid-file=${join(folder, "pid")}`,
      `--port=${port}`,
      ...SETTINGS,
      ...(options.args ?? []),
    ],
    join(folder, "mariadbd.log"),
  );
  const start = (): Promise<void> => server.start(() => greets(port));
  await start();
  await createUserAndDatabase(join(folder, "socket"));
  return {
    url: `mysql://${USER}:${PASSWORD}@127.0.0.1:${port}/vss`,
    signal: (name) => server.signal(name),
    get isRunning() {
      return server.isRunning;
    },
    get pids() {
      return [server.pid];
    },
    restart: async () => {
      await server.ended();
      await start();
    },
    stop: async () => {
      await server.kill();
      await removeFolder(folder);
    },
  };
}

async function install(data: string, own: readonly string[]): Promise<void> {
  await mkdir(data, { recursive: true });
  if (MYSQLD !== "") {
    await run(MYSQLD, [...own, "--secure-file-priv=", "--initialize-insecure"]);
    return;
  }
  const args = [
    ...own,
    "--auth-root-authentication-method=normal",
    "--skip-test-db",
    "--skip-name-resolve",
    "--innodb-log-file-size=64M",
  ];
  try {
    await run("mariadb-install-db", args);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new Error(
      "There is no mariadbd on this machine. Run `apt-get install mariadb-server`, name a running " +
        "server in VSS_TEST_MYSQL_URL, or leave this store out with STORES=memory,sqlite.",
      { cause: error },
    );
  }
}

/** MySQL's server speaks first, so a byte from it means that it takes connections. */
async function greets(port: number): Promise<boolean> {
  const socket = createConnection({ port, host: "127.0.0.1" });
  try {
    await once(socket, "data", { signal: AbortSignal.timeout(1000) });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function createUserAndDatabase(socketPath: string): Promise<void> {
  const { createConnection: connect } = await import("mysql2/promise");
  const connection = await connect({ socketPath, user: "root" });
  try {
    await connection.query("CREATE DATABASE vss");
    await connection.query(`CREATE USER '${USER}'@'%' IDENTIFIED BY '${PASSWORD}'`);
    await connection.query(`GRANT ALL ON *.* TO '${USER}'@'%' WITH GRANT OPTION`);
  } finally {
    await connection.end();
  }
}

function existingServer(url: string): TestServer {
  const refuse = (): never => {
    throw new Error("The server of VSS_TEST_MYSQL_URL is not this test's to stop or start.");
  };
  return { url, signal: refuse, isRunning: true, pids: [], restart: refuse, stop: async () => {} };
}
