import { HTTP_LIMITS_DEFAULT } from "../http/options.ts";
import {
  CONNECT_TIMEOUT_MS_DEFAULT,
  FEED_RETENTION_MS_DEFAULT,
  STORE_TIMEOUT_MS_DEFAULT,
  VALUE_BYTES_CEILING,
  VALUE_BYTES_DEFAULT,
} from "../limits.ts";
import { choice, count, duration, onOff, size, text, within, type ValueType } from "./units.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** One setting: a flag, the variable that stands for it, what it is unless told, and what it does. */
export interface Setting<T> {
  readonly flag: string;
  readonly variable: string;
  readonly type: ValueType<T>;
  readonly fallback: T;
  readonly help: string;
}

function setting<T>(
  flag: string,
  type: ValueType<T>,
  fallback: NoInfer<T>,
  help: string,
): Setting<T> {
  return { flag, variable: `VSS_${flag.toUpperCase().replaceAll("-", "_")}`, type, fallback, help };
}

/** A setting that is undefined unless told. */
function optional<T>(flag: string, type: ValueType<T>, help: string): Setting<T | undefined> {
  const optionalType: ValueType<T | undefined> = {
    placeholder: type.placeholder,
    read: (given) => type.read(given),
    write: (value) => (value === undefined ? "" : type.write(value)),
  };
  return setting<T | undefined>(flag, optionalType, undefined, help);
}

/**
 * Every setting of every command. Parsing, `--help`, the errors and docs/configuration.md are made
 * from this table, and nothing else reads a variable of the environment.
 */
export const SETTINGS = {
  port: setting(
    "port",
    count(0, 65_535),
    5000,
    "Port to listen on; 0 takes a free one and prints it.",
  ),
  host: setting(
    "host",
    { ...text, placeholder: "<address>" },
    "127.0.0.1",
    "Address to listen on; 0.0.0.0 or :: for every network this machine is on.",
  ),
  store: setting(
    "store",
    { ...text, placeholder: "<url>" },
    "sqlite:./data/state.db",
    "Where the data lives: memory:, sqlite:path, redis://…, mongodb://…, mysql://… and more.",
  ),
  workers: setting(
    "workers",
    count(1, 64),
    1,
    "Server processes that share the port; each store but memory: allows several.",
  ),
  maxValueBytes: setting(
    "max-value-size",
    within(size, { min: 1, max: VALUE_BYTES_CEILING }),
    VALUE_BYTES_DEFAULT,
    "Largest value that a PUT may store.",
  ),
  inFlightMax: setting(
    "max-in-flight",
    count(1, 1_000_000),
    HTTP_LIMITS_DEFAULT.inFlightMax,
    "Requests under way in one process; further ones are answered 503 before their body is read.",
  ),
  watchersMax: setting(
    "max-watches",
    count(0, 1_000_000),
    HTTP_LIMITS_DEFAULT.watchersMax,
    "Open watches of one process; further ones are answered 503.",
  ),
  drainTimeoutMs: setting(
    "drain-timeout",
    within(duration, { max: HOUR_MS }),
    10_000,
    "How long a stop waits for requests under way before it cuts them off.",
  ),
  storeTimeoutMs: setting(
    "store-timeout",
    within(duration, { min: 10, max: HOUR_MS }),
    STORE_TIMEOUT_MS_DEFAULT,
    "Deadline of one call to the back end; past it the request is answered 503 or 504.",
  ),
  connectTimeoutMs: setting(
    "connect-timeout",
    within(duration, { max: HOUR_MS }),
    CONNECT_TIMEOUT_MS_DEFAULT,
    "How long the start retries a back end that is away.",
  ),
  logLevel: setting(
    "log-level",
    choice(["debug", "info", "warn", "error", "silent"]),
    "info",
    "Least level that is logged.",
  ),
  logRequests: setting("log-requests", onOff, false, "Log one line per request."),
  requireConditions: setting(
    "require-conditions",
    onOff,
    false,
    "Answer 428 to a PUT without a condition (cas, If-Match or If-None-Match).",
  ),
  requireDurable: setting(
    "require-durable",
    onOff,
    false,
    "Refuse to start where the back end's settings may lose an acknowledged write.",
  ),
  feedRetentionMs: setting(
    "feed-retention",
    within(duration, { min: 1_000, max: 3_650 * DAY_MS }),
    FEED_RETENTION_MS_DEFAULT,
    "How far back a watch of a prefix can be resumed.",
  ),
  keepVersions: optional(
    "keep-versions",
    count(1, 1_000_000_000),
    "How many versions of each key are kept; all, unless told.",
  ),
  keepAgeMs: optional(
    "keep-age",
    within(duration, { min: 1_000, max: 36_500 * DAY_MS }),
    "How long versions are kept once they are no longer the latest; for ever, unless told.",
  ),
  retentionConfig: optional(
    "retention-config",
    { ...text, placeholder: "<file>" },
    "JSON file with the versions and ages to keep for each prefix of keys.",
  ),
  requestTimeoutMs: setting(
    "request-timeout",
    within(duration, { min: 100, max: HOUR_MS }),
    10_000,
    "How long vss check waits for one answer.",
  ),
  tortureMs: setting(
    "for",
    within(duration, { min: 1_000, max: DAY_MS }),
    10_000,
    "How long vss torture loads its servers.",
  ),
  servers: setting("servers", count(1, 64), 3, "Server processes that vss torture starts."),
  clients: setting("clients", count(1, 1_000), 12, "Clients that vss torture runs at once."),
  seed: setting("seed", count(0, 1_000_000_000), 1, "Decides what the clients of vss torture do."),
  intoExisting: setting(
    "into-existing",
    onOff,
    false,
    "Copy into a store that holds keys: keeps what is newer and reports conflicts.",
  ),
} as const satisfies Record<string, Setting<unknown>>;

export type SettingName = keyof typeof SETTINGS;

/** The settings of one run, checked and frozen. */
export type Settings = {
  readonly [N in SettingName]: (typeof SETTINGS)[N] extends Setting<infer T> ? T : never;
};
