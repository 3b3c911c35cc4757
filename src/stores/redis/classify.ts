import { ClientClosedError, ClientOfflineError, ErrorReply } from "redis";
import { StateError, type ErrorCode } from "../../errors.ts";

/** What is known of a command that failed. */
export type Failure =
  /** Redis answered with an error; `code` is its first word. */
  | { readonly kind: "refused"; readonly code: string; readonly cause: unknown }
  /** It never left this process. */
  | { readonly kind: "unsent"; readonly cause: unknown }
  /** Its answer never came; Redis may have done it, or do it yet. */
  | { readonly kind: "lost"; readonly cause: unknown };

/** Before Redis 7 an error inside a script is wrapped in a sentence, behind which its own code stands. */
const CODE_FORM = /^(?:ERR Error running script .*?: -)?([A-Z]+)\b/;

export function classify(error: unknown): Failure {
  if (error instanceof ErrorReply) {
    const code = CODE_FORM.exec(error.message)?.[1] ?? "ERR";
    // A primary that became a replica while a WAIT was under way.
    if (code === "UNBLOCKED") return { kind: "lost", cause: error };
    return { kind: "refused", code, cause: error };
  }
  if (error instanceof ClientOfflineError || error instanceof ClientClosedError) {
    return { kind: "unsent", cause: error };
  }
  return { kind: "lost", cause: error };
}

/** Redis did nothing, and will do it in a moment, here or on another node. */
const PASSING_CODES: ReadonlySet<string> = new Set([
  "ASK",
  "BUSY",
  "CLUSTERDOWN",
  "LOADING",
  "MASTERDOWN",
  "MOVED",
  "READONLY",
  "TRYAGAIN",
]);

export function isPassing(code: string): boolean {
  return PASSING_CODES.has(code);
}

const DENIED_CODES: ReadonlySet<string> = new Set(["DENIED", "NOAUTH", "NOPERM", "WRONGPASS"]);

/** The credentials or privileges do not suffice, so trying again is of no use. */
export function isDenied(failure: Failure): boolean {
  return failure.kind === "refused" && DENIED_CODES.has(failure.code);
}

interface Meaning {
  readonly code: ErrorCode;
  readonly message: string;
}

const UNAVAILABLE: Meaning = {
  code: "store_unavailable",
  message: "Redis does not answer. Nothing was written; try again.",
};

const DENIED: Meaning = {
  code: "store_denied",
  message:
    "Redis refused the user, the password or a command. Nothing was written. " +
    "Check the store's URL and the user's ACL.",
};

const MEANINGS: Readonly<Record<string, Meaning>> = {
  DENIED,
  NOAUTH: DENIED,
  NOPERM: DENIED,
  WRONGPASS: DENIED,
  OOM: {
    code: "store_full",
    message: "Redis has reached its maxmemory. Nothing was written. Raise it or delete keys.",
  },
  MISCONF: {
    code: "store_full",
    message: "Redis cannot write to its disk and takes no writes. Nothing was written.",
  },
  READONLY: {
    code: "store_read_only",
    message:
      "This Redis is a replica, which takes no writes and may lack some. Nothing was written. " +
      "Name its primary.",
  },
  NOREPLICAS: {
    code: "store_read_only",
    message: "Redis has fewer replicas than its min-replicas-to-write. Nothing was written.",
  },
  WRONGTYPE: {
    code: "store_incompatible",
    message:
      "Under this prefix Redis holds data of another program. Nothing was written. " +
      "Choose another prefix in the store's URL.",
  },
  LOADING: {
    code: "store_unavailable",
    message: "Redis is loading its data. Nothing was written; try again.",
  },
  CLUSTERDOWN: {
    code: "store_unavailable",
    message: "The Redis Cluster has a part without a primary. Nothing was written; try again.",
  },
};

/** What callers are told. `wasSent`: a commit left this process and its outcome is not known. */
export function toStateError(failure: Failure, wasSent: boolean): StateError {
  const { cause } = failure;
  if (wasSent) return outcomeUnknown(cause);
  if (failure.kind !== "refused") return unanswered(cause);
  const meaning = Object.hasOwn(MEANINGS, failure.code) ? MEANINGS[failure.code] : undefined;
  if (meaning !== undefined) return fromMeaning(meaning, cause);
  if (isPassing(failure.code)) return unanswered(cause);
  return new StateError("internal", "Redis answered with an error that is not known.", {
    cause,
    applied: "unknown",
  });
}

function fromMeaning({ code, message }: Meaning, cause: unknown): StateError {
  return new StateError(code, message, { cause });
}

/** A read, or what was never sent, that has no answer. */
export function unanswered(cause: unknown): StateError {
  return fromMeaning(UNAVAILABLE, cause);
}

export function outcomeUnknown(cause: unknown): StateError {
  return new StateError(
    "outcome_unknown",
    "Redis did not answer in time, so the write may or may not have happened. Read the key, or " +
      "send the same request again with the same Idempotency-Key.",
    { cause },
  );
}
