import type { PutOptions, RestorePrefixAnswer, RestorePrefixOptions, StateApi } from "../api.ts";
import { StateError } from "../errors.ts";
import type { EntryInfo, EntryRef, ReadResult } from "../store.ts";
import { checkMoment } from "./input.ts";

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
  | { readonly kind: "unchanged" | "conflict" | "trimmed" };

/**
 * Brings a page of a prefix's keys back to a moment. Each key is compared and written on its own, under
 * the condition that nobody else has written it meanwhile. Keys that were deleted since cannot come
 * back: a delete leaves no record.
 */
export async function restorePrefix(
  parts: RestoreParts,
  options: RestorePrefixOptions,
): Promise<RestorePrefixAnswer> {
  const at = checkMoment("at", options.at);
  const page = await parts.state.keys({
    prefix: options.prefix,
    ...(options.after === undefined ? {} : { after: options.after }),
    ...(options.limit === undefined ? {} : { limit: options.limit }),
  });
  const outcomes = await Promise.all(
    page.keys.map(async (latest) => ({
      key: latest.key,
      outcome: await restoreKey(parts, latest, { ...options, at }),
    })),
  );
  const keysOf = (kind: KeyOutcome["kind"]): string[] =>
    outcomes.filter(({ outcome }) => outcome.kind === kind).map(({ key }) => key);
  return {
    restored: outcomes.flatMap(({ outcome }) =>
      outcome.kind === "restored" ? [outcome.restored] : [],
    ),
    unchanged: keysOf("unchanged").length,
    conflicts: keysOf("conflict"),
    trimmed: keysOf("trimmed"),
    next: page.next,
  };
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
