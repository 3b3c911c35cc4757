import type { Key } from "../../../src/key.ts";
import type {
  ChangeBatch,
  Cursor,
  EntryInfo,
  HistoryPage,
  KeyInfo,
  KeysPage,
  Outcome,
  Query,
  ReadResult,
  Store,
  StoreInfo,
  Transaction,
} from "../../../src/store.ts";

/** Passes every call on. A defect overrides the one that it spoils. */
export class WrappedStore implements Store {
  readonly inner: Store;

  constructor(inner: Store) {
    this.inner = inner;
  }

  get info(): StoreInfo {
    return this.inner.info;
  }

  read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    return this.inner.read(queries);
  }

  commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    return this.inner.commit(transactions);
  }

  history(key: Key, page: HistoryPage): Promise<readonly EntryInfo[]> {
    return this.inner.history(key, page);
  }

  keys(page: KeysPage): Promise<readonly KeyInfo[]> {
    return this.inner.keys(page);
  }

  changes(after: Cursor | "now", signal: AbortSignal): AsyncIterable<ChangeBatch> {
    return this.inner.changes(after, signal);
  }

  trim(key: Key, incarnation: string, keepFrom: number, limit: number): Promise<number> {
    return this.inner.trim(key, incarnation, keepFrom, limit);
  }

  maintain(options: { readonly feedRetentionMs: number }): Promise<boolean> {
    return this.inner.maintain(options);
  }

  ping(): Promise<void> {
    return this.inner.ping();
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
