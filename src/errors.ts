/**
 * Every way a request can end badly: code → HTTP status → title. The codes are stable; callers may
 * branch on them. `docs/errors.md` explains each, and a test holds the two together.
 */
export const ERRORS = {
  invalid_key: { status: 400, title: "The key is not legal" },
  invalid_parameter: { status: 400, title: "A parameter is not legal" },
  unknown_parameter: { status: 400, title: "A query parameter is not known" },
  invalid_body: { status: 400, title: "The body is not legal" },
  invalid_request: { status: 400, title: "The request is not valid HTTP" },
  route_not_found: { status: 404, title: "No such route" },
  key_not_found: { status: 404, title: "The key does not exist" },
  version_not_found: { status: 404, title: "The version does not exist" },
  version_trimmed: { status: 404, title: "The version was removed by the retention policy" },
  method_not_allowed: { status: 405, title: "The method is not allowed here" },
  not_acceptable: { status: 406, title: "No representation the request accepts" },
  request_timeout: { status: 408, title: "The request took too long to arrive" },
  transaction_unsupported: { status: 409, title: "The back end cannot change these keys together" },
  cursor_expired: { status: 410, title: "The feed does not hold this position" },
  condition_failed: { status: 412, title: "A condition was not met" },
  value_too_large: { status: 413, title: "The body is too large" },
  uri_too_long: { status: 414, title: "The request line is too long" },
  request_id_reused: { status: 422, title: "The Idempotency-Key was used with another request" },
  diff_unsupported: { status: 422, title: "The two versions cannot be compared this way" },
  condition_required: { status: 428, title: "A condition is required" },
  headers_too_large: { status: 431, title: "The request headers are too large" },
  internal: { status: 500, title: "The server failed" },
  watch_unsupported: { status: 501, title: "The back end cannot follow changes" },
  overloaded: { status: 503, title: "The server is busy" },
  shutting_down: { status: 503, title: "The server is stopping" },
  store_unavailable: { status: 503, title: "The store does not answer" },
  store_full: { status: 503, title: "The store has no space" },
  store_read_only: { status: 503, title: "The store takes no writes" },
  store_denied: { status: 503, title: "The store refused its credentials or privileges" },
  store_incompatible: { status: 503, title: "The store's data was set up for another version" },
  outcome_unknown: { status: 504, title: "The write may or may not have happened" },
} as const satisfies Record<string, { readonly status: number; readonly title: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** Did the write perhaps happen? `unknown` only where a commit was sent and its answer never came. */
export type Applied = "no" | "unknown";

/**
 * The one class of failure. `message` is for people and says what to do; it never holds a store's
 * address or a password, because it reaches HTTP callers. `cause` may, and goes to the log alone.
 */
export class StateError extends Error {
  override readonly name = "StateError";
  readonly code: ErrorCode;
  readonly applied: Applied;
  /** Members for the problem document, such as `current` or `parameter`. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      readonly cause?: unknown;
      readonly applied?: Applied;
      readonly details?: Readonly<Record<string, unknown>>;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.applied = options.applied ?? (code === "outcome_unknown" ? "unknown" : "no");
    this.details = options.details ?? {};
  }
}
