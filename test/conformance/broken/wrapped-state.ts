import type {
  DeleteAnswer,
  DeleteOptions,
  DiffAnswer,
  DiffOptions,
  HistoryAnswer,
  HistoryOptions,
  KeysAnswer,
  KeysOptions,
  Moment,
  PutAnswer,
  PutOptions,
  RestoreOptions,
  RestorePrefixAnswer,
  RestorePrefixOptions,
  StateApi,
  TransactAnswer,
  TransactRequest,
  WatchEvent,
  WatchOptions,
  WatchPrefixOptions,
  Which,
} from "../../../src/api.ts";
import type { Entry, EntryInfo } from "../../../src/store.ts";

/** Passes every call on. A defect overrides the one that it spoils. */
export class WrappedState implements StateApi {
  readonly inner: StateApi;

  constructor(inner: StateApi) {
    this.inner = inner;
  }

  put(key: string, value: string | Uint8Array, options?: PutOptions): Promise<PutAnswer> {
    return this.inner.put(key, value, options);
  }

  get(key: string, options?: { readonly at?: Moment }): Promise<Entry | undefined> {
    return this.inner.get(key, options);
  }

  getVersion(key: string, version: number): Promise<Entry | undefined> {
    return this.inner.getVersion(key, version);
  }

  head(key: string, which?: Which): Promise<EntryInfo | undefined> {
    return this.inner.head(key, which);
  }

  delete(key: string, options?: DeleteOptions): Promise<DeleteAnswer> {
    return this.inner.delete(key, options);
  }

  history(key: string, options?: HistoryOptions): Promise<HistoryAnswer | undefined> {
    return this.inner.history(key, options);
  }

  keys(options?: KeysOptions): Promise<KeysAnswer> {
    return this.inner.keys(options);
  }

  diff(key: string, options: DiffOptions): Promise<DiffAnswer | undefined> {
    return this.inner.diff(key, options);
  }

  restore(key: string, options: RestoreOptions): Promise<PutAnswer | undefined> {
    return this.inner.restore(key, options);
  }

  restorePrefix(options: RestorePrefixOptions): Promise<RestorePrefixAnswer> {
    return this.inner.restorePrefix(options);
  }

  transact(request: TransactRequest): Promise<TransactAnswer> {
    return this.inner.transact(request);
  }

  watch(key: string, options?: WatchOptions): AsyncIterable<WatchEvent> {
    return this.inner.watch(key, options);
  }

  watchPrefix(options: WatchPrefixOptions): AsyncIterable<WatchEvent> {
    return this.inner.watchPrefix(options);
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
