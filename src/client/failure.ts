import { ERRORS, StateError, type ErrorCode } from "../errors.ts";

/** Codes that may well be gone at the next attempt. The other 503s wait for an operator. */
const TRANSIENT: ReadonlySet<ErrorCode> = new Set([
  "overloaded",
  "shutting_down",
  "store_unavailable",
  "outcome_unknown",
  // The server gave up a connection on which it had read no request; this one may have crossed that.
  "request_timeout",
]);

/** Codes of Node's network errors that come before anything was sent. */
const NEVER_SENT: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** A failed attempt, and what is known about trying again. */
export interface Failure {
  readonly error: StateError;
  readonly isTransient: boolean;
  /** What the server's `Retry-After` asked for, in milliseconds. */
  readonly retryAfterMs: number | undefined;
}

/** Turns an answer from 400 on into the error it describes. */
export function failureOfAnswer(
  response: Response,
  { body, isWrite }: { readonly body: string; readonly isWrite: boolean },
): Failure {
  const { code, applied, detail, type, title, status, ...details } = parseProblem(body);
  const known = isErrorCode(code) ? code : codeOfStatus(response.status);
  const error = new StateError(
    known,
    typeof detail === "string" ? detail : `The server answered with status ${response.status}.`,
    {
      details: isErrorCode(code) ? details : { ...details, status: response.status },
      // What a proxy answered in the server's stead says nothing of what the server did.
      applied: isWrite && applied !== "no" ? "unknown" : "no",
    },
  );
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return {
    error,
    isTransient: TRANSIENT.has(known),
    retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined,
  };
}

/** Turns what `fetch` threw into an error that says whether a write may have happened. */
export function failureOfFetch(
  cause: unknown,
  { isWrite, isTimeout }: { readonly isWrite: boolean; readonly isTimeout: boolean },
): Failure {
  const wasSent = isWrite && !NEVER_SENT.has(networkCode(cause));
  const what = isTimeout ? "did not answer in time" : "cannot be reached, or broke off its answer";
  const error = wasSent
    ? new StateError(
        "outcome_unknown",
        `The server ${what}. The write may or may not have happened.`,
        { cause },
      )
    : new StateError("store_unavailable", `The server ${what}.`, { cause });
  return { error, isTransient: !isTimeout, retryAfterMs: undefined };
}

/** The same failure of a write whose earlier attempt may have been applied. */
export function asUnknown({ error }: Failure): StateError {
  if (error.applied === "unknown") return error;
  return new StateError(
    "outcome_unknown",
    `${error.message} An earlier attempt may or may not have written.`,
    { cause: error },
  );
}

/** Members of a problem document; none where the body is something else, as a proxy's page is. */
function parseProblem(body: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === "object" && parsed !== null ? { ...parsed } : {};
  } catch {
    return {};
  }
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(ERRORS, code);
}

/** For servers newer than this client, and for what stands between the two. */
function codeOfStatus(status: number): ErrorCode {
  if (status === 404) return "route_not_found";
  if (status === 429) return "overloaded";
  if (status === 502 || status === 503) return "store_unavailable";
  if (status === 504) return "outcome_unknown";
  return status < 500 ? "invalid_request" : "internal";
}

function networkCode(error: unknown): unknown {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error && "code" in cause ? cause.code : undefined;
}
