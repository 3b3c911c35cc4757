import { StateError } from "../errors.ts";
import { hashKey, type Key } from "../key.ts";
import { BATCH_BYTES_MAX, BATCH_ITEMS_MAX, QUEUE_BYTES_MAX, QUEUE_ITEMS_MAX } from "../limits.ts";
import type { Committed, Outcome, Store, Transaction, Unmet } from "../store.ts";
import type { Clock } from "../telemetry/clock.ts";
import { Batcher } from "./batcher.ts";

/** Counted for a write beside its value: metadata, keys, and what the queue itself needs. */
const WRITE_OVERHEAD_BYTES = 256;

/**
 * Coalesces writes in lanes, one batch in flight per lane. A key is always in the same lane, so this
 * process never races itself over it. A transaction of several keys goes in the lane of its first;
 * the store settles its races with the other lanes, as it does those with other processes.
 */
export class Writers {
  readonly #lanes: readonly Batcher<Transaction, Outcome>[];

  constructor(store: Store, options: { readonly timeoutMs: number; readonly clock: Clock }) {
    const { writeLanes } = store.info;
    this.#lanes = Array.from(
      { length: writeLanes },
      () =>
        new Batcher<Transaction, Outcome>({
          ...options,
          run: (transactions) => store.commit(transactions),
          concurrency: 1,
          batchItemsMax: () => BATCH_ITEMS_MAX,
          batchBytesMax: BATCH_BYTES_MAX,
          queueItemsMax: Math.ceil(QUEUE_ITEMS_MAX / writeLanes),
          queueBytesMax: Math.ceil(QUEUE_BYTES_MAX / writeLanes),
          inFlightTimeout: outcomeUnknown,
        }),
    );
  }

  /** Commits, and throws where the outcome is anything but committed. */
  async commit(transaction: Transaction): Promise<Committed> {
    const lane = this.#lanes[hashKey(firstKey(transaction)) % this.#lanes.length];
    let bytes = WRITE_OVERHEAD_BYTES;
    for (const put of transaction.puts) bytes += put.value.byteLength;
    // The modulus of a non-empty list is always one of its indexes.
    const outcome = await (lane as Batcher<Transaction, Outcome>).add(transaction, bytes);
    if (outcome.outcome === "committed") return outcome;
    throw toError(outcome, transaction);
  }

  get queued(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.queued, 0);
  }

  async idle(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.idle()));
  }
}

function firstKey({ puts, deletes, conditions, reads }: Transaction): Key {
  const key = puts[0]?.key ?? deletes[0] ?? conditions[0]?.key ?? reads[0];
  if (key === undefined) throw new StateError("invalid_body", "A transaction names some key.");
  return key;
}

function outcomeUnknown(): StateError {
  return new StateError(
    "outcome_unknown",
    "The store did not answer in time, so the write may or may not have happened. Read the key, or " +
      "send the same request again with the same Idempotency-Key.",
  );
}

function toError(outcome: Exclude<Outcome, Committed>, transaction: Transaction): StateError {
  switch (outcome.outcome) {
    case "conflict":
      return conditionFailed(outcome.unmet, transaction);
    case "request-reused":
      return new StateError(
        "request_id_reused",
        "This Idempotency-Key was used with another request. Nothing was written; use a new one.",
      );
    case "unsupported":
      return new StateError(
        "transaction_unsupported",
        "This back end can't change these keys together. Nothing was written. On Redis Cluster, " +
          "give the keys one {tag}; on MongoDB, run a replica set.",
      );
    case "failed":
      return outcome.error;
  }
}

function conditionFailed(unmet: readonly Unmet[], transaction: Transaction): StateError {
  const described = unmet.map(({ condition, key, current }) => ({
    condition,
    key,
    current: current?.version ?? 0,
  }));
  const first = unmet[0];
  const current = first?.current;
  const latest =
    current === undefined ? "the key does not exist" : `the latest version is ${current.version}`;
  const isOne = new Set(transaction.conditions.map(({ key }) => key)).size <= 1;
  return new StateError(
    "condition_failed",
    isOne
      ? `Nothing was written: ${latest}.`
      : `Nothing was written. Conditions not met: ${unmet.length} of ${transaction.conditions.length}.`,
    {
      details: {
        current: current?.version ?? 0,
        ...(current && { currentEtag: `"${current.incarnation}.${current.version}"` }),
        ...(isOne ? {} : { unmet: described }),
      },
    },
  );
}
