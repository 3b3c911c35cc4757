import { readFileSync } from "node:fs";
import { StateError } from "../../errors.ts";

/** Where a node listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What a Redis URL says, checked. */
export interface RedisOptions {
  readonly scheme: string;
  readonly topology: "single" | "cluster" | "sentinel";
  /** The server, or the nodes or sentinels to ask first. */
  readonly addresses: readonly Address[];
  /** The name under which the sentinels know the master. */
  readonly masterName: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly sentinelUsername: string | undefined;
  readonly sentinelPassword: string | undefined;
  readonly database: number;
  readonly prefix: string;
  /** How many replicas must confirm a batch; undefined: one, where there are any. */
  readonly replicas: number | undefined;
  /** Milliseconds without an answer after which a connection counts as dead. */
  readonly socketTimeout: number;
  readonly connectTimeout: number;
  readonly pingInterval: number;
  readonly commandsQueueMaxLength: number;
  /** Handed to the driver as they are: client options and socket options by its own names. */
  readonly client: Readonly<Record<string, string | number | boolean>>;
  readonly socket: Readonly<Record<string, string | number | boolean | Buffer>>;
}

type Kind = "text" | "milliseconds" | "count" | "boolean" | "file";

/** Parameters for the store itself. */
const OWN: Readonly<Record<string, Kind>> = {
  prefix: "text",
  replicas: "count",
  socketTimeout: "milliseconds",
  connectTimeout: "milliseconds",
  pingInterval: "milliseconds",
  commandsQueueMaxLength: "count",
};

const SENTINEL: Readonly<Record<string, Kind>> = {
  db: "count",
  sentinelUsername: "text",
  sentinelPassword: "text",
};

/** Parameters handed on under the driver's own names. */
const CLIENT: Readonly<Record<string, Kind>> = {
  name: "text",
  clientInfoTag: "text",
  disableClientInfo: "boolean",
};
const SOCKET: Readonly<Record<string, Kind>> = {
  family: "count",
  keepAlive: "boolean",
  keepAliveInitialDelay: "milliseconds",
  noDelay: "boolean",
};
const TLS: Readonly<Record<string, Kind>> = {
  ca: "file",
  cert: "file",
  key: "file",
  passphrase: "text",
  servername: "text",
  rejectUnauthorized: "boolean",
};

const URL_FORM = /^([a-z-]+):\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/;
const ADDRESS_FORM = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/;
/** Braces would move the hash tag, and with it a partition to another slot. */
const PREFIX_FORM = /^[A-Za-z0-9_.:-]{1,64}$/;

type Value = string | number | boolean | Buffer;

/**
 * Reads `redis://`, `redis-cluster://` and `redis-sentinel://` URLs and their TLS forms. Throws
 * `invalid_parameter`; its message never repeats the URL, which may hold a password.
 */
export function parseRedisUrl(url: string): RedisOptions {
  const match = URL_FORM.exec(url);
  if (match === null) {
    throw invalid("The form is redis://[user:password@]host[:port][/database][?parameters].");
  }
  const [, scheme = "", credentials, hosts = "", path = "", query = ""] = match;
  const topology = scheme.endsWith("-cluster")
    ? "cluster"
    : scheme.endsWith("-sentinel")
      ? "sentinel"
      : "single";
  const tls = scheme.startsWith("rediss");
  const values = parseParameters(query, {
    ...OWN,
    ...CLIENT,
    ...SOCKET,
    ...(tls ? TLS : {}),
    ...(topology === "sentinel" ? SENTINEL : {}),
  });
  const pick = (table: Readonly<Record<string, Kind>>): Record<string, Value> =>
    Object.fromEntries([...values].filter(([name]) => Object.hasOwn(table, name)));
  return {
    scheme,
    topology,
    addresses: parseAddresses(hosts, topology),
    masterName: topology === "sentinel" ? parseMasterName(path) : undefined,
    ...parseCredentials(credentials),
    sentinelUsername: text(values, "sentinelUsername"),
    sentinelPassword: text(values, "sentinelPassword"),
    database: parseDatabase(path, topology, number(values, "db")),
    prefix: parsePrefix(text(values, "prefix") ?? "vss"),
    replicas: number(values, "replicas"),
    socketTimeout: parseSocketTimeout(number(values, "socketTimeout")),
    connectTimeout: number(values, "connectTimeout") ?? 2000,
    pingInterval: number(values, "pingInterval") ?? 500,
    commandsQueueMaxLength: number(values, "commandsQueueMaxLength") ?? 10_000,
    client: pick(CLIENT) as RedisOptions["client"],
    socket: { ...pick(SOCKET), ...pick(TLS), ...(tls ? { tls: true } : {}) },
  };
}

function parseParameters(
  query: string,
  known: Readonly<Record<string, Kind>>,
): ReadonlyMap<string, Value> {
  const values = new Map<string, Value>();
  for (const [name, value] of new URLSearchParams(query)) {
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) {
      // What looks like none may be the rest of a password with a question mark in it.
      const what = /^[A-Za-z]{1,32}$/.test(name) ? ` "${name}"` : " of such a name";
      throw invalid(
        `No parameter${what}. Known are ${Object.keys(known).join(", ")}. ` +
          "A question mark in a password is written %3F.",
      );
    }
    if (values.has(name)) throw invalid(`The parameter "${name}" stands there twice.`);
    values.set(name, parseValue(name, value, kind));
  }
  return values;
}

function parseValue(name: string, value: string, kind: Kind): Value {
  switch (kind) {
    case "text":
      return value;
    case "boolean":
      if (value !== "true" && value !== "false") throw invalid(`"${name}" is true or false.`);
      return value === "true";
    case "count":
    case "milliseconds":
      if (!/^\d{1,9}$/.test(value)) {
        throw invalid(`"${name}" is a whole number${kind === "count" ? "" : " of milliseconds"}.`);
      }
      return Number(value);
    case "file":
      return readPem(name, value);
  }
}

function readPem(name: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw invalid(`"${name}" names a PEM file that can't be read.`, error);
  }
}

function parseAddresses(hosts: string, topology: RedisOptions["topology"]): readonly Address[] {
  const parts = hosts === "" ? ["127.0.0.1"] : hosts.split(",");
  if (topology === "single" && parts.length > 1) {
    throw invalid("Several hosts need redis-cluster:// or redis-sentinel://.");
  }
  return parts.map((part) => {
    const match = ADDRESS_FORM.exec(part);
    const port = Number(match?.[2] ?? (topology === "sentinel" ? 26_379 : 6379));
    if (match === null || port < 1 || port > 65_535) {
      throw invalid(`A host is "name:port" or "[address]:port", several are split by commas.`);
    }
    return { host: (match[1] ?? "").replace(/^\[|\]$/g, ""), port };
  });
}

function parseCredentials(
  credentials: string | undefined,
): Pick<RedisOptions, "username" | "password"> {
  if (credentials === undefined || credentials === "") {
    return { username: undefined, password: undefined };
  }
  const colon = credentials.indexOf(":");
  const username = decode(colon === -1 ? credentials : credentials.slice(0, colon));
  const password = colon === -1 ? undefined : decode(credentials.slice(colon + 1));
  return { username: username === "" ? undefined : username, password };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    throw invalid("A user, a password and a master's name are percent-encoded.", error);
  }
}

function parseMasterName(path: string): string {
  if (path === "") {
    throw invalid("redis-sentinel:// ends in the master's name: redis-sentinel://host:port/name.");
  }
  return decode(path);
}

function parseDatabase(
  path: string,
  topology: RedisOptions["topology"],
  db: number | undefined,
): number {
  if (topology === "sentinel") return db ?? 0;
  if (path === "") return 0;
  if (topology === "cluster") throw invalid("Redis Cluster has no database numbers.");
  if (!/^\d{1,5}$/.test(path))
    throw invalid("The path is a database number, as in redis://host/0.");
  return Number(path);
}

/** Longer than what waits in Redis on purpose: for the feed, and for replicas. */
const SOCKET_TIMEOUT_MS_MIN = 1500;

function parseSocketTimeout(socketTimeout = 2000): number {
  if (socketTimeout < SOCKET_TIMEOUT_MS_MIN) {
    throw invalid(`"socketTimeout" is at least ${SOCKET_TIMEOUT_MS_MIN} milliseconds.`);
  }
  return socketTimeout;
}

function parsePrefix(prefix: string): string {
  if (!PREFIX_FORM.test(prefix)) {
    throw invalid(`"prefix" is 1 to 64 of A-Z, a-z, 0-9, "_", ".", ":" and "-".`);
  }
  return prefix;
}

function text(values: ReadonlyMap<string, Value>, name: string): string | undefined {
  const value = values.get(name);
  return typeof value === "string" ? value : undefined;
}

function number(values: ReadonlyMap<string, Value>, name: string): number | undefined {
  const value = values.get(name);
  return typeof value === "number" ? value : undefined;
}

function invalid(reason: string, cause?: unknown): StateError {
  return new StateError("invalid_parameter", `The Redis URL is not legal. ${reason}`, {
    cause,
    details: { parameter: "store" },
  });
}
