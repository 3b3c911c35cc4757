import BTree from "sorted-btree";

import { StateError } from "../../errors.ts";
import { compareKeys, type Key } from "../../key.ts";
import { REQUEST_ID_TTL_MS } from "../../limits.ts";
import {
  withoutValue,
  type ChangeBatch,
  type Committed,
  type Cursor,
  type Entry,
  type EntryInfo,
  type HistoryPage,
  type KeyInfo,
  type KeysPage,
  type Outcome,
  type Query,
  type ReadResult,
  type Select,
  type Store,
  type StoreInfo,
  type StoreOptions,
  type Transaction,
} from "../../store.ts";
import { closedError } from "../shared/closed.ts";
import { committed, keysOf, plan, type Head, type Heads, type Write } from "../shared/plan.ts";
import { MemoryFeed } from "./feed.ts";

/** A key's life: `entries[0]` is version `firstVersion`. */
interface Log {
  head: Head;
  readonly entries: Entry[];
}

interface RememberedRequest {
  readonly fingerprint: string;
  readonly outcome: Committed;
  readonly expiresAt: number;
}

const INFO: StoreInfo = {
  scheme: "memory",
  product: "memory",
  promise: "Nothing survives the end of this process.",
  settings: [
    {
      name: "persistence",
      value: "none",
      verdict: "weak",
      advice: "Everything is lost when the process ends. Use sqlite: or a database to keep it.",
    },
  ],
  writeLanes: 1,
  readLanes: 1,
  transactions: "any-keys",
  watch: "push",
  shared: false,
};

/** Opens an empty store that lives as long as this process. */
export async function open(url: string, options: StoreOptions): Promise<Store> {
  if (url !== "memory:") {
    throw new StateError("invalid_parameter", `A memory store's URL is "memory:" alone.`, {
      details: { parameter: "store" },
    });
  }
  return new MemoryStore(options);
}

/**
 * Keeps everything in maps. Each batch is applied in one turn of the event loop, so nothing ever sees
 * half of one; it is also the model that the other stores are compared with.
 */
class MemoryStore implements Store {
  readonly info = INFO;
  readonly #clock: StoreOptions["clock"];
  readonly #sharesBytes: boolean;
  readonly #logs = new Map<Key, Log>();
  /** Keys in order, for `keys`. */
  readonly #order = new BTree.default<Key, Log>(undefined, compareKeys);
  readonly #requests = new Map<string, RememberedRequest>();
  readonly #feed = new MemoryFeed();
  readonly #closing = new AbortController();

  constructor(options: StoreOptions) {
    this.#clock = options.clock;
    this.#sharesBytes = options.sharesBytes === true;
  }

  async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    this.#assertOpen();
    return queries.map((query) => this.#find(query));
  }

  #find({ key, select, value }: Query): ReadResult {
    const log = this.#logs.get(key);
    if (log === undefined) return undefined;
    const found = select === "latest" ? log.entries.at(-1) : findInLog(log, select);
    if (found === undefined || found === "trimmed") return found;
    return value ? this.#toAnswer(found) : { ...found, value: undefined };
  }

  /** A caller who writes into a copy does not change the past. */
  #toAnswer<Kept extends Entry | undefined>(entry: Kept): Kept {
    if (entry === undefined || this.#sharesBytes) return entry;
    return { ...entry, value: Buffer.from(entry.value) };
  }

  async commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    this.#assertOpen();
    const heads: Heads = new Map();
    const outcomes = transactions.map((transaction) => this.#commitOne(transaction, heads));
    this.#feed.ring();
    return outcomes;
  }

  #commitOne(transaction: Transaction, heads: Heads): Outcome {
    const now = this.#clock.now();
    const { request } = transaction;
    const reads = transaction.reads.map((key) =>
      this.#toAnswer(this.#logs.get(key)?.entries.at(-1)),
    );
    const remembered = request && this.#requests.get(request.id);
    if (request !== undefined && remembered !== undefined && remembered.expiresAt > now) {
      if (remembered.fingerprint !== request.fingerprint) return { outcome: "request-reused" };
      return { ...remembered.outcome, replayed: true, reads };
    }

    for (const key of keysOf(transaction)) heads.set(key, this.#logs.get(key)?.head);
    const planned = plan(transaction, heads, now);
    if (planned.outcome === "conflict") return planned;
    for (const write of planned.writes) this.#apply(write, now);
    const outcome = committed(planned, reads);
    if (request !== undefined) {
      const expiresAt = now + REQUEST_ID_TTL_MS;
      // Re-inserting moves the id to the end, so that the map stays in order of expiry.
      this.#requests.delete(request.id);
      this.#requests.set(request.id, {
        fingerprint: request.fingerprint,
        outcome: { ...outcome, reads: [] },
        expiresAt,
      });
    }
    return outcome;
  }

  #apply(write: Write, now: number): void {
    if (write.kind === "delete") {
      const { key, head, at } = write;
      this.#logs.delete(key);
      this.#order.delete(key);
      const { incarnation, version } = head;
      this.#feed.append({ key, incarnation, version, deleted: true, at }, now);
      return;
    }
    const { put, entry } = write;
    const { incarnation, version, createdAt } = entry;
    // A copy: a slice of a socket's buffer would keep the whole buffer alive, and callers reuse theirs.
    const stored: Entry = { ...entry, value: Buffer.from(put.value) };
    const log = this.#logs.get(put.key);
    if (log === undefined) {
      const head = { incarnation, version, createdAt, firstVersion: version };
      const created = { head, entries: [stored] };
      this.#logs.set(put.key, created);
      this.#order.set(put.key, created);
    } else {
      log.head = { incarnation, version, createdAt, firstVersion: log.head.firstVersion };
      log.entries.push(stored);
    }
    this.#feed.append({ key: put.key, incarnation, version, deleted: false, at: createdAt }, now);
  }

  async history(key: Key, page: HistoryPage): Promise<readonly EntryInfo[]> {
    this.#assertOpen();
    const log = this.#logs.get(key);
    if (log === undefined) return [];
    const { entries, head } = log;
    if (page.order === "oldest-first") {
      const start = Math.max(0, page.after + 1 - head.firstVersion);
      return entries.slice(start, start + page.limit).map(withoutValue);
    }
    const end = Math.min(entries.length, (page.before ?? Infinity) - head.firstVersion);
    if (end <= 0) return [];
    const start = Math.max(0, end - page.limit);
    return entries.slice(start, end).map(withoutValue).reverse();
  }

  async keys(page: KeysPage): Promise<readonly KeyInfo[]> {
    this.#assertOpen();
    const found: KeyInfo[] = [];
    // A bound need not be a key; the tree only compares it.
    for (const [key, log] of this.#order.entries(page.from as Key)) {
      if (page.to !== undefined && compareKeys(key, page.to) >= 0) break;
      const latest = log.entries.at(-1);
      if (latest !== undefined) found.push({ ...withoutValue(latest), key });
      if (found.length === page.limit) break;
    }
    return found;
  }

  changes(after: Cursor | "now", signal: AbortSignal): AsyncIterable<ChangeBatch> {
    this.#assertOpen();
    return this.#feed.follow(after, AbortSignal.any([signal, this.#closing.signal]));
  }

  async trim(key: Key, incarnation: string, keepFrom: number, limit: number): Promise<number> {
    this.#assertOpen();
    const log = this.#logs.get(key);
    if (log === undefined || log.head.incarnation !== incarnation) return 0;
    const { firstVersion, version } = log.head;
    const count = Math.min(limit, Math.min(keepFrom, version) - firstVersion);
    if (count <= 0) return 0;
    log.entries.splice(0, count);
    log.head = { ...log.head, firstVersion: firstVersion + count };
    return count;
  }

  async maintain({ feedRetentionMs }: { readonly feedRetentionMs: number }): Promise<boolean> {
    this.#assertOpen();
    const now = this.#clock.now();
    this.#feed.trimBefore(now - feedRetentionMs);
    for (const [id, { expiresAt }] of this.#requests) {
      if (expiresAt > now) break;
      this.#requests.delete(id);
    }
    return false;
  }

  async ping(): Promise<void> {
    this.#assertOpen();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#logs.clear();
    this.#order.clear();
  }

  #assertOpen(): void {
    if (this.#closing.signal.aborted) throw closedError();
  }
}

function findInLog(log: Log, select: Exclude<Select, "latest">): Entry | "trimmed" | undefined {
  const { firstVersion, version } = log.head;
  if ("version" in select) {
    if (select.version >= firstVersion) return log.entries[select.version - firstVersion];
    return select.version >= 1 && version >= 1 ? "trimmed" : undefined;
  }
  const count = countUntil(log.entries, select.asOf);
  if (count > 0) return log.entries[count - 1];
  return firstVersion > 1 ? "trimmed" : undefined;
}

/** How many entries, which are in order of time, were created at or before `time`. */
function countUntil(entries: readonly Entry[], time: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle]?.createdAt ?? Infinity) <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}
