import { StateError, type Applied, type ErrorCode } from "../../errors.ts";

/** The connection ended, or passed its deadline, after a statement had been sent and before its answer. */
export class LostConnectionError extends Error {
  override readonly name = "LostConnectionError";
}

/** No connection could be had, so nothing was sent. */
export class ConnectError extends Error {
  override readonly name = "ConnectError";
}

/** Numbers of server errors that mean more than "it failed". MySQL and MariaDB share most of them. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  // The disk, the tablespace or a temporary file is full.
  1021: "store_full",
  1114: "store_full",
  1041: "store_full",
  1713: "store_full",
  // Started with read_only or super_read_only, InnoDB read-only, a read-only transaction or replica.
  1036: "store_read_only",
  1290: "store_read_only",
  1792: "store_read_only",
  1836: "store_read_only",
  1874: "store_read_only",
  3100: "store_read_only",
  // Credentials, privileges, a locked account or an expired password.
  1044: "store_denied",
  1045: "store_denied",
  1130: "store_denied",
  1142: "store_denied",
  1143: "store_denied",
  1227: "store_denied",
  1251: "store_denied",
  1370: "store_denied",
  1410: "store_denied",
  1698: "store_denied",
  1820: "store_denied",
  1862: "store_denied",
  2059: "store_denied",
  3118: "store_denied",
  3159: "store_denied",
  4151: "store_denied",
  // A value, with the rest of its statement, is longer than max_allowed_packet.
  1153: "value_too_large",
  // The tables are not what this version makes.
  1054: "store_incompatible",
  1136: "store_incompatible",
  1146: "store_incompatible",
};

const MESSAGES: Partial<Record<ErrorCode, string>> = {
  store_full: "The database has no space left. Free some, or enlarge its volume.",
  store_read_only:
    "The database takes no writes: it is a replica, or was set read-only. Point the store at the " +
    "primary, or turn read_only off.",
  store_denied:
    "The database refused the user, the password or a privilege. The store needs SELECT, INSERT, " +
    "UPDATE and DELETE on its database, and CREATE at the first start.",
  store_incompatible: "The store's tables are missing, or are not the ones this version makes.",
  value_too_large: "The value does not fit into the database's max_allowed_packet.",
  store_unavailable: "The database does not answer, or is too busy. Try again.",
};

const TLS_MESSAGE =
  "The store and the database can't agree on TLS. Check the certificate, its host name and the " +
  `"ssl" option.`;

/** What our own check fails with that a head is what the plan was made from. */
const OUT_OF_RANGE = 1690;

const DUPLICATE = 1062;

/** Errors after which the same transaction, under the same commit id, is worth running again. */
const RETRYABLE: ReadonlySet<number> = new Set([
  1020, // MariaDB: record has changed since last read
  DUPLICATE, // duplicate entry: another process created the key, or has used the request id
  1180, // error during commit
  1205, // lock wait timeout
  1213, // deadlock, and Galera's lost certification
  OUT_OF_RANGE,
  8002, // TiDB: write conflict
  8022, // TiDB: commit failed
  9007, // TiDB: write conflict
]);

/** Errors that may also be the answer to a COMMIT which was carried out. */
const UNCERTAIN: ReadonlySet<number> = new Set([
  1053, // shutdown in progress
  1105, // unknown error
  1180, // error during commit
  1317, // interrupted
  1927, // connection killed
  3058, // killed while waiting
  4031, // MySQL: disconnected for inactivity
]);

/** Answers the server's own number of an error; undefined for a failure of the connection. */
export function serverErrorNumber(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const { errno, sqlState } = error as { errno?: unknown; sqlState?: unknown };
  // Only what came in an error packet has an SQL state; a socket's error has a negative `errno`.
  return typeof errno === "number" && typeof sqlState === "string" ? errno : undefined;
}

/** Another was faster: a head is not as it was thought to be, or somebody else has created it. */
export function isOvertaken(error: unknown): boolean {
  const number = serverErrorNumber(error);
  return number === OUT_OF_RANGE || number === DUPLICATE;
}

/** The server, or the way to it, refused this statement alone; the transaction may be run again. */
export function isRetryable(error: unknown): boolean {
  if (error instanceof LostConnectionError) return true;
  const number = serverErrorNumber(error);
  return number !== undefined && (RETRYABLE.has(number) || UNCERTAIN.has(number));
}

/** After a packet that ended in COMMIT was sent: may it have been carried out all the same? */
export function mayHaveCommitted(error: unknown): boolean {
  if (error instanceof LostConnectionError) return true;
  const number = serverErrorNumber(error);
  return number !== undefined && UNCERTAIN.has(number);
}

export function isUnknownDatabase(error: unknown): boolean {
  return serverErrorNumber(error) === 1049;
}

export function isMissingTable(error: unknown): boolean {
  return serverErrorNumber(error) === 1146;
}

export function isDuplicate(error: unknown): boolean {
  return serverErrorNumber(error) === DUPLICATE;
}

/** The driver's own codes for what is wrong with TLS; no server has answered yet. */
const TLS_CODES: ReadonlySet<unknown> = new Set([
  "HANDSHAKE_SSL_ERROR",
  "HANDSHAKE_NO_SSL_SUPPORT",
]);

function isTlsError(error: unknown): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if ("code" in inner && TLS_CODES.has(inner.code)) return true;
  }
  return false;
}

/** What opening a store need not wait out: it will not mend by itself. */
export function isPermanent(error: StateError): boolean {
  return error.code === "store_denied" || error.code === "store_incompatible" || isTlsError(error);
}

/** Turns whatever a statement or a connection failed with into what callers see. */
export function classify(error: unknown, applied: Applied = "no"): StateError {
  if (error instanceof StateError) return error;
  if (applied === "unknown") {
    return new StateError(
      "outcome_unknown",
      "The database's answer did not come, so the write may or may not have happened.",
      { cause: error },
    );
  }
  // A connection that could not be had keeps the reason as its cause.
  const inner = error instanceof ConnectError ? error.cause : error;
  const code = CODES[serverErrorNumber(inner) ?? 0] ?? "store_unavailable";
  const message = isTlsError(error) ? TLS_MESSAGE : (MESSAGES[code] ?? "The database failed.");
  return new StateError(code, message, { cause: error });
}
