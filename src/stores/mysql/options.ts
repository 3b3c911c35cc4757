import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import type { ConnectionOptions, SslOptions } from "mysql2";
import { StateError } from "../../errors.ts";

/** What a `mysql://` or `mariadb://` URL says. */
export interface MysqlOptions {
  readonly scheme: string;
  readonly database: string;
  /** Before every table's name, with an underscore between. */
  readonly prefix: string;
  /** Connections of this process, at most. */
  readonly connectionLimit: number;
  /** Idle connections are closed after this many milliseconds. */
  readonly idleTimeoutMs: number;
  /** What the driver is given, but for the database. */
  readonly driver: ConnectionOptions;
}

const DATABASE_DEFAULT = "vss";
const PREFIX_DEFAULT = "vss";
/** A table's name ends at 64 characters, and ours add up to 11. */
const PREFIX_PATTERN = /^[A-Za-z0-9_-]{1,50}$/;
const CONNECTION_LIMIT_DEFAULT = 10;
/** One that writes, one that reads, one that follows the feed. */
const CONNECTION_LIMIT_MIN = 3;
const IDLE_TIMEOUT_MS_DEFAULT = 60_000;

type Parameters = Record<string, string>;

/** Options of the driver that a URL may set, under the driver's names, each with its reader. */
const DRIVER_PARAMETERS: Readonly<
  Record<string, (text: string, name: string, host: string) => unknown>
> = {
  ssl: (text, _name, host) => readSsl(text, host),
  socketPath: (text) => text,
  localAddress: (text) => text,
  connectTimeout: readCount,
  compress: readFlag,
  enableKeepAlive: readFlag,
  keepAliveInitialDelay: readCount,
  enableCleartextPlugin: readFlag,
};

const OWN_PARAMETERS = ["prefix", "connectionLimit", "idleTimeout"] as const;

/**
 * Reads a URL such as `mysql://user:password@host:3306/database?prefix=app&ssl=true`. Throws
 * `invalid_parameter` without repeating the URL, which may hold a password.
 */
export function parseMysqlUrl(text: string): MysqlOptions {
  const url = parseUrl(text);
  const parameters = readParameters(url);
  const prefix = parameters["prefix"] ?? PREFIX_DEFAULT;
  if (!PREFIX_PATTERN.test(prefix)) {
    throw invalid(`"prefix" is 1 to 50 letters, digits, "_" and "-"; it goes into table names.`);
  }
  const limit = readCount(
    parameters["connectionLimit"] ?? String(CONNECTION_LIMIT_DEFAULT),
    "connectionLimit",
  );
  if (limit < CONNECTION_LIMIT_MIN) {
    throw invalid(`"connectionLimit" is at least ${CONNECTION_LIMIT_MIN}.`);
  }
  return {
    scheme: url.protocol.slice(0, -1),
    database: readDatabase(url.pathname),
    prefix,
    connectionLimit: limit,
    idleTimeoutMs: readCount(
      parameters["idleTimeout"] ?? String(IDLE_TIMEOUT_MS_DEFAULT),
      "idleTimeout",
    ),
    driver: driverOptions(url, parameters),
  };
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "mysql:" && url.protocol !== "mariadb:")) {
    throw invalid(
      "A MySQL or MariaDB store's URL is like mysql://user:password@host:3306/database, with one " +
        "host, and with special characters of the password percent-encoded.",
    );
  }
  return url;
}

function readDatabase(pathname: string): string {
  const database = decode(pathname.replace(/^\/+/, "")) || DATABASE_DEFAULT;
  if (database.length > 64 || /[`/\\\0]/.test(database)) {
    throw invalid(
      "The database's name, the path of the URL, holds at most 64 characters and no /.",
    );
  }
  return database;
}

function readParameters(url: URL): Parameters {
  const known = new Set([...OWN_PARAMETERS, ...Object.keys(DRIVER_PARAMETERS)]);
  const parameters: Parameters = {};
  for (const [name, value] of url.searchParams) {
    if (!known.has(name)) {
      throw invalid(`"${name}" is no option of this store. Known are ${[...known].join(", ")}.`);
    }
    if (Object.hasOwn(parameters, name)) throw invalid(`"${name}" is given twice.`);
    parameters[name] = value;
  }
  return parameters;
}

function driverOptions(url: URL, parameters: Parameters): ConnectionOptions {
  // The brackets of an IPv6 address belong to the URL alone.
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1") || "127.0.0.1";
  const options: Record<string, unknown> = {
    host,
    port: url.port === "" ? 3306 : Number(url.port),
    user: decode(url.username) || "root",
    password: decode(url.password),
  };
  for (const [name, read] of Object.entries(DRIVER_PARAMETERS)) {
    const value = parameters[name];
    if (value !== undefined) options[name] = read(value, name, host);
  }
  return options;
}

/**
 * `true` asks for a certificate of a known authority, for this very host; certificates for addresses
 * are checked by no driver option. Anything else is the driver's own: a profile, or a JSON object.
 */
function readSsl(text: string, host: string): SslOptions | string | undefined {
  if (text === "true") return { verifyIdentity: isIP(host) === 0 };
  if (text === "false") return undefined;
  if (!text.startsWith("{")) return text;
  let options: Record<string, unknown>;
  try {
    options = JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw invalid(
      `"ssl" is true, false, a profile of the driver such as Amazon RDS, or a JSON object.`,
      error,
    );
  }
  for (const name of ["ca", "cert", "key"]) {
    const value = options[name];
    if (typeof value === "string") options[name] = readPem(value, name);
  }
  return options;
}

/** A certificate or key as it stands, or the file that holds it. */
function readPem(value: string, name: string): string {
  if (value.includes("-----BEGIN")) return value;
  try {
    return readFileSync(value, "utf8");
  } catch (error) {
    throw invalid(`The file that "ssl" names as "${name}" can't be read.`, error);
  }
}

function readFlag(text: string, name: string): boolean {
  if (text !== "true" && text !== "false") throw invalid(`"${name}" is true or false.`);
  return text === "true";
}

function readCount(text: string, name: string): number {
  if (!/^\d{1,9}$/.test(text)) throw invalid(`"${name}" is a whole number.`);
  return Number(text);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw invalid("The URL holds a % that is no percent-encoding; write a % itself as %25.", error);
  }
}

function invalid(message: string, cause?: unknown): StateError {
  return new StateError("invalid_parameter", message, { details: { parameter: "store" }, cause });
}
