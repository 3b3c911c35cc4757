import { ERRORS, StateError, type ErrorCode } from "../errors.ts";
import type { Answer } from "./answer.ts";
import { RETRY_AFTER_MS } from "./refusals.ts";

/** Seconds after which trying again is worth it; a store that needs its operator takes longer. */
const RETRY_AFTER_SECONDS: Partial<Record<ErrorCode, number>> = {
  overloaded: RETRY_AFTER_MS / 1_000,
  shutting_down: 1,
  store_unavailable: 1,
  store_full: 30,
  store_read_only: 30,
  store_denied: 30,
  store_incompatible: 30,
};

/**
 * Any failure as the one class that callers may see. What is unforeseen becomes `internal`; of a
 * write, which may have been committed before it failed, `outcome_unknown`.
 */
export function toStateError(error: unknown, isWrite: boolean): StateError {
  if (error instanceof StateError) return error;
  if (isWrite) {
    return new StateError(
      "outcome_unknown",
      "The server failed in a way it did not foresee, and the write may or may not have happened. " +
        "Read the key before writing again. The server's log says more.",
      { cause: error },
    );
  }
  return new StateError(
    "internal",
    "The server failed in a way it did not foresee. Its log says more.",
    { cause: error },
  );
}

/** A failure as RFC 9457 has it. `code` is the stable member to branch on. */
export function problemAnswer(error: StateError): Answer {
  const { status, title } = ERRORS[error.code];
  const headers: Record<string, string> = {
    "Content-Type": "application/problem+json",
    "Cache-Control": "no-store",
  };
  const retryAfter = RETRY_AFTER_SECONDS[error.code];
  if (retryAfter !== undefined) headers["Retry-After"] = String(retryAfter);
  const allow = error.details["allow"];
  if (typeof allow === "string") headers["Allow"] = allow;
  return { status, headers, body: problemText(error, status, title) };
}

function problemText(error: StateError, status: number, title: string): string {
  const { code, message, applied, details } = error;
  return JSON.stringify({
    type: `urn:vss:error:${code}`,
    title,
    status,
    detail: message,
    code,
    applied,
    ...details,
  });
}
