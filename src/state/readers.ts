import { StateError } from "../errors.ts";
import { BATCH_BYTES_MAX, BATCH_ITEMS_MAX, QUEUE_BYTES_MAX, QUEUE_ITEMS_MAX } from "../limits.ts";
import type { Query, ReadResult, Store } from "../store.ts";
import type { Clock } from "../telemetry/clock.ts";
import { Batcher } from "./batcher.ts";
import { withOwnValue } from "./entry.ts";

export interface ReadersOptions {
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** No caller changes bytes that it was given, so that several may be given the same. */
  readonly sharesBytes?: boolean;
}

/** Values of one batch of reads should stay within this many bytes; sizes are known only afterwards. */
const READ_BATCH_BYTES_TARGET = 16 * 1024 * 1024;

/** Weight of the newest batch in the running mean of a value's size. */
const MEAN_WEIGHT = 0.2;

/**
 * Coalesces reads. The same read asked twice in a batch is asked of the store once. How many reads go
 * together follows the size of the values lately seen, so that a batch of big ones stays bounded.
 */
export class Readers {
  readonly #batcher: Batcher<Query, ReadResult>;
  readonly #store: Store;
  #meanBytes = 0;

  constructor(store: Store, options: ReadersOptions) {
    const isShared = options.sharesBytes === true;
    this.#store = store;
    this.#batcher = new Batcher<Query, ReadResult>({
      ...options,
      run: isShared
        ? (queries) => this.#run(queries)
        : async (queries) => (await this.#run(queries)).map(withOwnValue),
      concurrency: store.info.readLanes,
      batchItemsMax: () => this.#batchItems(),
      batchBytesMax: BATCH_BYTES_MAX,
      queueItemsMax: QUEUE_ITEMS_MAX,
      queueBytesMax: QUEUE_BYTES_MAX,
      inFlightTimeout: () =>
        new StateError(
          "store_unavailable",
          "The store did not answer the read in time. Try again.",
        ),
    });
  }

  read(query: Query): Promise<ReadResult> {
    return this.#batcher.add(query, 0);
  }

  get queued(): number {
    return this.#batcher.queued;
  }

  idle(): Promise<void> {
    return this.#batcher.idle();
  }

  #batchItems(): number {
    const fitting = Math.floor(READ_BATCH_BYTES_TARGET / Math.max(1, this.#meanBytes));
    return Math.max(1, Math.min(BATCH_ITEMS_MAX, fitting));
  }

  async #run(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    if (queries.length === 1) return this.#observe(await this.#store.read(queries));
    const unique: Query[] = [];
    const indexes = new Map<string, number>();
    const places = queries.map((query) => {
      const identity = identify(query);
      const known = indexes.get(identity);
      if (known !== undefined) return known;
      indexes.set(identity, unique.length);
      return unique.push(query) - 1;
    });
    const results = this.#observe(await this.#store.read(unique));
    if (unique.length === queries.length) return results;
    return places.map((place) => results[place]);
  }

  #observe(results: readonly ReadResult[]): readonly ReadResult[] {
    let bytes = 0;
    for (const result of results) {
      if (result !== undefined && result !== "trimmed") bytes += result.value?.byteLength ?? 0;
    }
    const mean = bytes / results.length;
    // A jump upwards counts at once: the next batch of big values must already be a small one.
    this.#meanBytes = Math.max(mean, this.#meanBytes + (mean - this.#meanBytes) * MEAN_WEIGHT);
    return results;
  }
}

/** No key holds U+0000, so nothing that follows it can be taken for a part of the key. */
function identify({ key, select, value }: Query): string {
  if (select === "latest") return value ? key : `${key}\0info`;
  const which = "version" in select ? `v${select.version}` : `t${select.asOf}`;
  return `${key}\0${which}${value ? "" : "info"}`;
}
