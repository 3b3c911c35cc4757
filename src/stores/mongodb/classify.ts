import {
  MongoNetworkError,
  MongoServerError,
  MongoServerSelectionError,
  MongoWriteConcernError,
} from "mongodb";
import { StateError, type Applied, type ErrorCode } from "../../errors.ts";

/** A call that passed its deadline. Only this side gave up: MongoDB may still carry it out. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

/** Another server, or another process of it, has taken over from the one that was asked. */
export class ServerChangedError extends Error {
  override readonly name = "ServerChangedError";
}

/** One document of an insert that MongoDB did not take, while it may have taken its neighbours. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  readonly code: number;

  constructor(code: number) {
    super(`MongoDB refused a document with code ${code}.`);
    this.code = code;
  }
}

export const DUPLICATE_KEY = 11_000;

/** What a server's error code means for the caller. Codes are stable; texts are not. */
const SERVER_CODES: Readonly<Record<number, ErrorCode>> = {
  13: "store_denied", // Unauthorized
  18: "store_denied", // AuthenticationFailed
  33: "store_denied", // ProtocolError of SASL, as some proxies answer it
  8000: "store_denied", // AtlasError, of a failed authentication
  14_031: "store_full", // OutOfDiskSpace
  10_107: "store_unavailable", // NotWritablePrimary
  13_435: "store_unavailable", // NotPrimaryNoSecondaryOk
};

/**
 * Codes of a server that stops, steps down or changes its role. The command may be tried again; of a
 * write it is not known whether it took place.
 */
const TRANSIENT_CODES: ReadonlySet<number> = new Set([
  6, // HostUnreachable
  7, // HostNotFound
  43, // CursorNotFound, as of a member that was not asked for the first part of an answer
  50, // MaxTimeMSExpired
  64, // WriteConcernFailed
  79, // UnknownReplWriteConcern, as of a member that is just starting
  89, // NetworkTimeout
  91, // ShutdownInProgress
  112, // WriteConflict
  134, // ReadConcernMajorityNotAvailableYet
  189, // PrimarySteppedDown
  246, // SnapshotUnavailable
  262, // ExceededTimeLimit
  9001, // SocketException
  10_058, // LegacyNotPrimary
  10_107, // NotWritablePrimary
  11_600, // InterruptedAtShutdown
  11_601, // Interrupted, as by an administrator
  11_602, // InterruptedDueToReplStateChange
  13_435, // NotPrimaryNoSecondaryOk
  13_436, // NotPrimaryOrSecondary
]);

/** The feed no longer reaches back: ChangeStreamHistoryLost, ChangeStreamFatalError, CappedPositionLost. */
const HISTORY_LOST_CODES: ReadonlySet<number> = new Set([136, 280, 286]);

export function serverCode(error: unknown): number | undefined {
  return error instanceof MongoServerError && typeof error.code === "number"
    ? error.code
    : undefined;
}

export function isTransientCode(code: number): boolean {
  return TRANSIENT_CODES.has(code);
}

export function isHistoryLost(error: unknown): boolean {
  return HISTORY_LOST_CODES.has(serverCode(error) ?? 0);
}

/** True where the same command may succeed a moment later. */
export function isTransient(error: unknown): error is Error {
  if (error instanceof MongoNetworkError || error instanceof MongoWriteConcernError) return true;
  if (error instanceof MongoServerError) {
    const labels = ["RetryableWriteError", "TransientTransactionError"];
    if (labels.some((label) => error.hasErrorLabel(label))) return true;
    return TRANSIENT_CODES.has(serverCode(error) ?? 0);
  }
  if (error instanceof ServerChangedError) return true;
  // Inside a transaction a place that is taken shows as a duplicate key: another try sees why.
  if (error instanceof RefusedError)
    return error.code === DUPLICATE_KEY || isTransientCode(error.code);
  if (isDenied(error)) return false;
  return isNeverSent(error) || isLostConnection(error);
}

/** Failures of a connection that the driver passes on as they are, or has no public class for. */
function isLostConnection(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (CLOSED_NAMES.has(error.name)) return true;
  const { syscall, code } = error as { readonly syscall?: unknown; readonly code?: unknown };
  return typeof syscall === "string" || (typeof code === "string" && CLOSED_CODES.has(code));
}

/** Node's own, for a connection that was already ended when it was written to. */
const CLOSED_CODES: ReadonlySet<string> = new Set([
  "EPIPE",
  "ERR_SOCKET_CLOSED",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_WRITE_AFTER_END",
]);

/** A server or its connections were given up, as a monitor has seen it go. */
const CLOSED_NAMES: ReadonlySet<string> = new Set([
  "MongoPoolClosedError",
  "MongoServerClosedError",
  "MongoTopologyClosedError",
]);

/** Codes of commands that MongoDB has refused as a whole, before it did any of it. */
const REFUSAL_CODES: ReadonlySet<number> = new Set([
  2, // BadValue
  9, // FailedToParse
  13, // Unauthorized
  14, // TypeMismatch
  18, // AuthenticationFailed
  20, // IllegalOperation
  26, // NamespaceNotFound
  33, // ProtocolError
  59, // CommandNotFound
  72, // InvalidOptions
  73, // InvalidNamespace
  8000, // AtlasError
  10_334, // BSONObjectTooLarge
]);

/** True where MongoDB itself has said that it did nothing of what was asked. */
export function isRefusal(error: unknown): boolean {
  return REFUSAL_CODES.has(serverCode(error) ?? 0);
}

/** True where a transaction's commit may or may not have taken place, and can be asked for again. */
export function isUnsureCommit(error: unknown): boolean {
  if (error instanceof DeadlineError || error instanceof MongoNetworkError) return true;
  return error instanceof MongoServerError && error.hasErrorLabel("UnknownTransactionCommitResult");
}

/** True where the command did not leave this process, so it cannot have taken place. */
export function isNeverSent(error: unknown): boolean {
  if (error instanceof MongoServerSelectionError) return true;
  if (!(error instanceof Error)) return false;
  // The driver exports no class for these three; their names are part of its documented errors.
  if (error.name === "MongoPoolClearedError" || error.name === "MongoWaitQueueTimeoutError") {
    return true;
  }
  // The driver marks failures of a connection that was still being made, outside its public types.
  const { beforeHandshake } = error as { readonly beforeHandshake?: unknown };
  return error instanceof MongoNetworkError && beforeHandshake === true;
}

export function isDenied(error: unknown): boolean {
  if (SERVER_CODES[serverCode(error) ?? 0] === "store_denied") return true;
  // A failed authentication reaches a waiting call as the cause of something more general.
  return error instanceof Error && error.cause !== undefined && isDenied(error.cause);
}

/** What the caller of a store's method gets for a native failure. */
export function classify(error: unknown, applied: Applied): StateError {
  if (error instanceof StateError) return error;
  if (applied === "unknown") {
    return new StateError(
      "outcome_unknown",
      "MongoDB did not confirm the write in time; it may or may not have happened. " +
        "Read the key to find out, or repeat the request with its Idempotency-Key.",
      { cause: error },
    );
  }
  const native = error instanceof RefusedError ? error.code : serverCode(error);
  const code = isDenied(error)
    ? "store_denied"
    : (SERVER_CODES[native ?? 0] ?? unavailableOrInternal(error));
  return new StateError(code, `${MESSAGES[code] ?? ""} Nothing was written.`.trim(), {
    cause: error,
  });
}

const MESSAGES: Partial<Record<ErrorCode, string>> = {
  store_denied: "MongoDB refused the user's credentials or privileges.",
  store_full: "MongoDB has no disk space left.",
  store_unavailable: "MongoDB does not answer, or has no primary at the moment.",
  internal: "MongoDB answered with an error that the server does not know; its log has it.",
};

function unavailableOrInternal(error: unknown): ErrorCode {
  return error instanceof DeadlineError || isTransient(error) ? "store_unavailable" : "internal";
}
