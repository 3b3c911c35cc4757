import { StateError, type Applied, type ErrorCode } from "../../errors.ts";

/** SQLite's primary result codes, which are the low byte of every extended one. */
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const PROTOCOL = 15;

/** Extended codes: the system took no more bytes for the file, or for the log's shared memory. */
const IOERR_WRITE = 778;
const IOERR_SHMSIZE = 4874;

const FULL = "The disk is full, or the database has reached its largest size.";
const REFUSED =
  "The operating system takes no more bytes for the database: a quota, a limit on the size of " +
  "files, or a failing disk.";

/** What each result code means for our callers: primary ones, and extended ones that differ. */
const CODES: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  3: ["store_denied", "The operating system denied access to the database file."],
  [BUSY]: ["store_unavailable", "Another process kept the database locked."],
  [LOCKED]: ["store_unavailable", "Another process kept the database locked."],
  7: ["store_unavailable", "The database ran out of memory."],
  [READONLY]: ["store_read_only", "The database file, its folder or its disk is read-only."],
  [IOERR]: ["store_unavailable", "The operating system failed to read or write the database."],
  11: [
    "store_unavailable",
    "The database file is damaged. Stop the server and restore the file from a backup.",
  ],
  13: ["store_full", FULL],
  14: ["store_unavailable", "The database file cannot be opened."],
  [PROTOCOL]: ["store_unavailable", "Another process kept the database locked."],
  23: ["store_denied", "SQLite denied access to the database file."],
  [IOERR_WRITE]: ["store_full", REFUSED],
  [IOERR_SHMSIZE]: ["store_full", REFUSED],
  26: ["store_incompatible", "The file is not a SQLite database. Choose another file."],
};

/** The result code of an error that SQLite gave, or undefined for any other error. */
export function resultCodeOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode : undefined;
}

/** True where the call may succeed as soon as another connection lets go. */
export function isBusy(error: unknown): boolean {
  const code = (resultCodeOf(error) ?? 0) & 0xff;
  return code === BUSY || code === LOCKED || code === PROTOCOL;
}

/**
 * Whether a COMMIT that failed may have happened. SQLite rolls it back, but where the disk failed after
 * all of it was written to the log, the next start would find it there. A write that was refused stops
 * it before its last page, without which the log does not count it.
 */
export function appliedByFailedCommit(error: unknown): Applied {
  const code = resultCodeOf(error);
  if (code === IOERR_WRITE) return "no";
  return code === undefined || (code & 0xff) === IOERR ? "unknown" : "no";
}

/** What a write answers that waited for the file's lock until its deadline. */
export function lockedError(): StateError {
  return new StateError(
    "store_unavailable",
    "Another process kept the database locked, or the disk is too slow. Nothing was written.",
  );
}

/** An error as a text for the log, since no message between threads carries its result code. */
export function describeCause(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = resultCodeOf(error);
  return code === undefined ? (error.stack ?? error.message) : `SQLite ${code}: ${error.message}`;
}

/** Translates what SQLite threw. `applied` is what the caller knows of its write. */
export function classify(error: unknown, applied: Applied = "no"): StateError {
  if (error instanceof StateError) return error;
  const code = resultCodeOf(error);
  const known = code === undefined ? undefined : (CODES[code] ?? CODES[code & 0xff]);
  if (applied === "unknown") {
    const why = known?.[1] ?? "The database failed.";
    return new StateError(
      "outcome_unknown",
      `${why} The write may or may not have happened: read the key before you try again.`,
      { cause: error },
    );
  }
  if (known === undefined) {
    return new StateError("internal", "The database failed. The log has the cause.", {
      cause: error,
    });
  }
  const [stateCode, message] = known;
  return new StateError(stateCode, message, { cause: error });
}
