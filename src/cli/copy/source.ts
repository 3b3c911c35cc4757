import type { Key } from "../../key.ts";
import type { Entry, KeyInfo } from "../../store.ts";

/** A version to copy, with the key it belongs to. */
export interface SourceEntry extends Entry {
  readonly key: Key;
}

/** A key as a source lists it, with what tells its latest version from another one. */
export type SourceKey = Pick<
  KeyInfo,
  "key" | "incarnation" | "version" | "createdAt" | "digest" | "size"
>;

/** A key to copy, and the last of its versions that the target has; 0 for none. */
export interface Wanted {
  readonly info: SourceKey;
  readonly after: number;
}

export interface SourceBatch {
  /** In the order of the keys wanted, and of each key's versions. */
  readonly entries: readonly SourceEntry[];
  /** Keys deleted, put again or trimmed since they were listed: what came of them is worth nothing. */
  readonly gone: readonly Key[];
}

/** How much there is to copy, as far as is known before. */
export interface Total {
  readonly keys: number;
  readonly versions: number;
}

/** Where versions are copied from: a store, or an export. */
export interface Source {
  /** Undefined where it can't be known before the end. */
  total(): Promise<Total | undefined>;
  /** All keys in key order, with their latest entries, in pages. */
  pages(): AsyncIterable<readonly SourceKey[]>;
  /**
   * The versions of some keys of the page at hand, in batches of bounded size. The entry after `after`
   * is the first one.
   */
  entries(wanted: readonly Wanted[]): AsyncIterable<SourceBatch>;
  /** Lists keys again that were gone: those that exist. */
  again(keys: readonly Key[]): Promise<readonly SourceKey[]>;
}

/** Where versions are copied to: a store, or an export. */
export interface Sink {
  /** Takes the next keys, and says which of their versions it wants. */
  begin(keys: readonly SourceKey[]): Promise<readonly Wanted[]>;
  write(entries: readonly SourceEntry[]): Promise<void>;
  /** Takes back what was written of a key, whose versions are not what they were. */
  withdraw(key: Key): Promise<void>;
  /** Called when a key is not copied, because it kept changing. */
  abandon(key: Key): void;
  /** Answers when everything is written. */
  end(): Promise<void>;
}

/** How often a key is tried that changes under the copy's hands. */
const ATTEMPTS_MAX = 5;

/** Copies everything from one to the other, a page of keys at a time. Ends early with the signal. */
export async function copyAll(source: Source, sink: Sink, signal: AbortSignal): Promise<void> {
  for await (const page of source.pages()) {
    let keys: readonly SourceKey[] = page;
    for (let attempt = 1; keys.length > 0; attempt += 1) {
      const gone = await copyKeys({ source, sink, signal }, keys);
      if (attempt === ATTEMPTS_MAX) for (const key of gone) sink.abandon(key);
      keys = attempt === ATTEMPTS_MAX || gone.length === 0 ? [] : await source.again(gone);
    }
  }
  await sink.end();
}

interface Copy {
  readonly source: Source;
  readonly sink: Sink;
  readonly signal: AbortSignal;
}

/** Answers the keys that were gone. */
async function copyKeys(
  { source, sink, signal }: Copy,
  keys: readonly SourceKey[],
): Promise<readonly Key[]> {
  signal.throwIfAborted();
  const wanted = await sink.begin(keys);
  // A key may be found gone more than once: by its history, and by values that it had.
  const gone = new Set<Key>();
  for await (const batch of source.entries(wanted)) {
    signal.throwIfAborted();
    // First: what was written of such a key is the last that was, and no other may come after it.
    for (const key of batch.gone) await sink.withdraw(key);
    for (const key of batch.gone) gone.add(key);
    await sink.write(batch.entries.filter(({ key }) => !batch.gone.includes(key)));
  }
  return [...gone];
}
