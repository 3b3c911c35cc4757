import type { PutOptions, RestorePrefixAnswer, RestorePrefixOptions, StateApi } from "../api.ts";
import { AUTHOR_CHARS_MAX } from "../limits.ts";
import { StateError, type ErrorCode } from "../errors.ts";
import type { EntryInfo, EntryRef, ReadResult } from "../store.ts";
import { checkLength, checkMoment } from "./input.ts";

/** What restoring needs of the engine. */
export interface RestoreParts {
  readonly state: Pick<StateApi, "keys" | "put" | "delete" | "getVersion">;
  /** The version that was the latest at a moment, without its value. */
  readonly infoAt: (key: string, at: number) => Promise<ReadResult>;
}

type Restored = RestorePrefixAnswer["restored"][number];

/** What happened to one key. */
type KeyOutcome =
  | { readonly kind: "restored"; readonly restored: Restored }
  | { readonly kind: "unchanged" | "conflict" | "trimmed" }
  | { readonly kind: "failed"; readonly error: unknown };

/**
 * Brings a page of a prefix's keys back to a moment. Each key is compared and written on its own, under
 * the condition that nobody else has written it meanwhile. Keys that were deleted since cannot come
 * back: a delete leaves no record.
 *
 * Throws only when every key has been tried, where some key failed; the error then has the members of
 * the answer in its details, beside the keys that failed.
 */
export async function restorePrefix(
  parts: RestoreParts,
  options: RestorePrefixOptions,
): Promise<RestorePrefixAnswer> {
  const at = checkMoment("at", options.at);
  checkLength("author", options.author, AUTHOR_CHARS_MAX);
  const page = await parts.state.keys({
    prefix: options.prefix,
    ...(options.after === undefined ? {} : { after: options.after }),
    ...(options.limit === undefined ? {} : { limit: options.limit }),
  });
  const outcomes = await Promise.all(
    page.keys.map(async (latest) => ({
      key: latest.key,
      outcome: await restoreKey(parts, latest, { ...options, at }).catch(toFailed),
    })),
  );
  const keysOf = (kind: KeyOutcome["kind"]): string[] =>
    outcomes.filter(({ outcome }) => outcome.kind === kind).map(({ key }) => key);
  const answer = {
    restored: outcomes.flatMap(({ outcome }) =>
      outcome.kind === "restored" ? [outcome.restored] : [],
    ),
    unchanged: keysOf("unchanged").length,
    conflicts: keysOf("conflict"),
    trimmed: keysOf("trimmed"),
    next: page.next,
  };
  const failures = outcomes.flatMap(({ key, outcome }) =>
    outcome.kind === "failed" ? [{ key, error: outcome.error }] : [],
  );
  const [first] = failures;
  if (first === undefined) return answer;
  const written = options.dryRun === true ? 0 : answer.restored.length;
  throw pageFailure({ answer, written, first, failures });
}

function toFailed(error: unknown): KeyOutcome {
  return { kind: "failed", error };
}

interface KeyFailure {
  readonly key: string;
  readonly error: unknown;
}

interface FailedPage {
  readonly answer: RestorePrefixAnswer;
  readonly written: number;
  readonly first: KeyFailure;
  readonly failures: readonly KeyFailure[];
}

/**
 * The error of a page of which some keys failed. Where others have been written it can't be that of a
 * key, which may say that nothing was: the page's own outcome is then known in part alone.
 */
function pageFailure({ answer, written, first, failures }: FailedPage): StateError {
  const failed = failures.map(({ key, error }) => ({ key, code: codeOf(error) }));
  const details = { ...answer, failed };
  const cause = first.error;
  const wroteNothing =
    written === 0 &&
    failures.every(({ error }) => error instanceof StateError && error.applied === "no");
  if (wroteNothing && cause instanceof StateError) {
    return new StateError(cause.code, `Of the key "${first.key}": ${cause.message}`, {
      cause,
      details: { ...cause.details, ...details },
    });
  }
  const goOn =
    answer.next === undefined
      ? "No further keys follow."
      : 'To pass over them, go on with "next" as "after".';
  return new StateError(
    "outcome_unknown",
    `Not every key was brought back. Brought back: ${written}. Failed: ${failures.length}, the ` +
      `first of them "${first.key}" with ${codeOf(cause)}. Send the same request again to try ` +
      `these once more: it leaves alone what is as it had been. ${goOn}`,
    { cause, details },
  );
}

/** As a caller would see it: what is unforeseen may have been written. */
function codeOf(error: unknown): ErrorCode {
  return error instanceof StateError ? error.code : "outcome_unknown";
}

async function restoreKey(
  { state, infoAt }: RestoreParts,
  latest: EntryInfo & { readonly key: string },
  options: RestorePrefixOptions & { readonly at: number },
): Promise<KeyOutcome> {
  const { key } = latest;
  const target = await infoAt(key, options.at);
  if (target === "trimmed") return { kind: "trimmed" };
  if (target !== undefined && isSameContent(target, latest)) return { kind: "unchanged" };
  const action = target === undefined ? "delete" : "put";
  const planned: Restored = { key, action, from: target?.version, version: undefined };
  if (options.dryRun === true) return { kind: "restored", restored: planned };
  const condition: { readonly ifMatch: readonly EntryRef[] } = { ifMatch: [latest] };
  try {
    if (target === undefined) {
      await state.delete(key, condition);
      return { kind: "restored", restored: planned };
    }
    const entry = await state.getVersion(key, target.version);
    // Deleted, or deleted and put again, since the target was found.
    if (entry?.incarnation !== target.incarnation) return { kind: "conflict" };
    const author = options.author;
    const { version } = await state.put(key, entry.value, {
      ...condition,
      ...restoredMetadata(entry, author === undefined ? {} : { author }),
    });
    return { kind: "restored", restored: { ...planned, version } };
  } catch (error) {
    if (error instanceof StateError && error.code === "condition_failed") {
      return { kind: "conflict" };
    }
    if (error instanceof StateError && error.code === "version_trimmed") return { kind: "trimmed" };
    throw error;
  }
}

function isSameContent(a: EntryInfo, b: EntryInfo): boolean {
  return (
    a.incarnation === b.incarnation && a.digest === b.digest && a.contentType === b.contentType
  );
}

/** The metadata of a version that restores `entry`. */
export function restoredMetadata(
  entry: EntryInfo,
  given: { readonly author?: string; readonly message?: string },
): Pick<PutOptions, "contentType" | "author" | "message"> {
  return {
    ...(entry.contentType === undefined ? {} : { contentType: entry.contentType }),
    ...(given.author === undefined ? {} : { author: given.author }),
    message: given.message ?? `Restored from version ${entry.version}`,
  };
}
