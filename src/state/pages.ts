import type {
  HistoryAnswer,
  HistoryItem,
  HistoryOptions,
  KeysAnswer,
  KeysItem,
  KeysOptions,
} from "../api.ts";
import { compareKeys, keyAfter, prefixEnd, type Key } from "../key.ts";
import { PAGE_VALUE_BYTES_MAX } from "../limits.ts";
import type { Entry, EntryInfo, KeyInfo, ReadResult, Select, Store } from "../store.ts";
import { checkLimit, checkMoment, checkPrefix, checkVersion, invalid } from "./input.ts";
import type { Readers } from "./readers.ts";

/** A page of a key's history, newest first. Undefined where the key does not exist. */
export async function historyPage(
  store: Store,
  readers: Readers,
  key: Key,
  options: HistoryOptions,
): Promise<HistoryAnswer | undefined> {
  const limit = checkLimit(options.limit);
  const before = options.before === undefined ? undefined : checkVersion("before", options.before);
  // One more than asked tells whether there is a next page.
  const found = await store.history(key, { order: "newest-first", before, limit: limit + 1 });
  if (found.length === 0) {
    const exists = await readers.read({ key, select: "latest", value: false });
    if (exists === undefined) return undefined;
  }
  const infos = found.slice(0, limit);
  const versions = options.values === true ? await withValues(readers, key, infos) : infos;
  // Nothing is left of what was found: the key was deleted meanwhile, and may be there again.
  if (versions.length === 0 && infos.length > 0) return historyPage(store, readers, key, options);
  const isWhole = versions.length === infos.length && found.length <= limit;
  const next = isWhole ? undefined : versions.at(-1)?.version;
  return { key, versions, next };
}

/** Adds the values, up to the first entry that passes `PAGE_VALUE_BYTES_MAX`: the page ends there. */
async function withValues(
  readers: Readers,
  key: Key,
  infos: readonly EntryInfo[],
): Promise<readonly HistoryItem[]> {
  const fitting = infos.slice(0, countFitting(infos));
  const entries = await Promise.all(
    fitting.map((info) => readers.read({ key, select: { version: info.version }, value: true })),
  );
  // A key deleted between the two reads may already have the same versions of another incarnation.
  return fitting.flatMap((info, index) => {
    const entry = entries[index];
    return isSameEntry(entry, info) ? [entry] : [];
  });
}

function isSameEntry(found: ReadResult, info: EntryInfo): found is Entry {
  return found !== undefined && found !== "trimmed" && found.incarnation === info.incarnation;
}

/** How many entries fit one answer with their values: at least one. */
function countFitting(infos: readonly EntryInfo[]): number {
  let bytes = 0;
  const end = infos.findIndex((info, index) => {
    bytes += info.size;
    return index > 0 && bytes > PAGE_VALUE_BYTES_MAX;
  });
  return end === -1 ? infos.length : end;
}

/** A place in the key order to go on from, as the opaque cursor of `keys`. */
function encodeCursor(from: string): string {
  return Buffer.from(from).toString("base64url");
}

function decodeCursor(cursor: string): string {
  const text = Buffer.from(cursor, "base64url").toString();
  if (encodeCursor(text) !== cursor) {
    throw invalid("after", `"after" is the "next" of the page before.`);
  }
  return text;
}

/**
 * Where a page starts: at `after`, but never before its prefix. A cursor that is empty, as a script's
 * first round sends it, or that belongs to another prefix would otherwise bring keys nobody asked
 * for. Undefined where nothing of the prefix is left.
 */
function startOf(
  after: string | undefined,
  prefix: string,
  to: string | undefined,
): string | undefined {
  if (after === undefined) return prefix;
  const cursor = decodeCursor(after);
  const from = compareKeys(cursor, prefix) < 0 ? prefix : cursor;
  return to === undefined || compareKeys(from, to) < 0 ? from : undefined;
}

/** Keys looked at for one page as of a time, where most of them may not have existed. */
const KEYS_SCAN_MAX = 10_000;

/** A page of keys, folded by delimiter, perhaps as of a time. */
export async function keysPage(
  store: Store,
  readers: Readers,
  options: KeysOptions,
): Promise<KeysAnswer> {
  const limit = checkLimit(options.limit);
  const prefix = checkPrefix("prefix", options.prefix ?? "");
  const delimiter = options.delimiter && checkPrefix("delimiter", options.delimiter);
  const at = options.at === undefined ? undefined : checkMoment("at", options.at);
  const to = prefixEnd(prefix);
  const keys: KeyInfo[] = [];
  const prefixes: string[] = [];
  let from = startOf(options.after, prefix, to);
  for (let looked = 0; from !== undefined && looked < KEYS_SCAN_MAX;) {
    const wanted = limit - keys.length - prefixes.length;
    if (wanted === 0) break;
    const page: readonly KeyInfo[] = await store.keys({ from, to, limit: wanted });
    const existing = at === undefined ? page : await asOf(readers, page, at);
    const folded = fold(existing, prefix, delimiter);
    keys.push(...folded.keys);
    prefixes.push(...folded.prefixes);
    looked += page.length;
    from = page.length < wanted ? undefined : nextFrom(page, folded);
  }
  const items = options.values === true ? await keysWithValues(readers, keys, at) : keys;
  if (items.length < keys.length) return cutAfterValues(items, keys, prefixes);
  return { keys: items, prefixes, next: from === undefined ? undefined : encodeCursor(from) };
}

interface Folded {
  readonly keys: readonly KeyInfo[];
  readonly prefixes: readonly string[];
}

/** Folds keys with the delimiter after the prefix; only the last fold may have more keys behind it. */
function fold(page: readonly KeyInfo[], prefix: string, delimiter: string | undefined): Folded {
  if (!delimiter) return { keys: page, prefixes: [] };
  const keys: KeyInfo[] = [];
  const prefixes: string[] = [];
  for (const info of page) {
    const end = info.key.indexOf(delimiter, prefix.length);
    if (end === -1) {
      keys.push(info);
      continue;
    }
    const folder = info.key.slice(0, end + delimiter.length);
    if (prefixes.at(-1) !== folder) prefixes.push(folder);
  }
  return { keys, prefixes };
}

/** Past the last key, and past all of its fold where it was folded. */
function nextFrom(page: readonly KeyInfo[], folded: Folded): string | undefined {
  const last = page.at(-1)?.key ?? "";
  const folder = folded.prefixes.at(-1);
  return folder !== undefined && last.startsWith(folder) ? prefixEnd(folder) : keyAfter(last);
}

async function asOf(
  readers: Readers,
  page: readonly KeyInfo[],
  at: number,
): Promise<readonly KeyInfo[]> {
  const found = await Promise.all(
    page.map(({ key }) => readers.read({ key, select: { asOf: at }, value: false })),
  );
  return page.flatMap(({ key }, index) => {
    const entry = found[index];
    return entry === undefined || entry === "trimmed" ? [] : [{ ...entry, key }];
  });
}

async function keysWithValues(
  readers: Readers,
  keys: readonly KeyInfo[],
  at: number | undefined,
): Promise<readonly KeysItem[]> {
  const fitting = keys.slice(0, countFitting(keys));
  const select: Select = at === undefined ? "latest" : { asOf: at };
  const entries = await Promise.all(
    fitting.map(({ key }) => readers.read({ key, select, value: true })),
  );
  return fitting.map((info, index) => {
    const entry = entries[index];
    // Deleted since it was listed: listed as it was, without a value.
    if (entry === undefined || entry === "trimmed" || entry.value === undefined) return info;
    return { ...entry, value: entry.value, key: info.key };
  });
}

/** The page ended early because of its values: what lies behind the last item goes to the next. */
function cutAfterValues(
  items: readonly KeysItem[],
  keys: readonly KeyInfo[],
  prefixes: readonly string[],
): KeysAnswer {
  const from = keys[items.length]?.key ?? "";
  return {
    keys: items,
    prefixes: prefixes.filter((folder) => Buffer.from(folder).compare(Buffer.from(from)) < 0),
    next: encodeCursor(from),
  };
}
