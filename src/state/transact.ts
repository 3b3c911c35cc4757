import type { TransactAnswer, TransactRequest } from "../api.ts";
import { StateError } from "../errors.ts";
import type { Key } from "../key.ts";
import { TRANSACTION_ITEMS_MAX, TRANSACTION_VALUE_BYTES_MAX } from "../limits.ts";
import type { Committed, Transaction } from "../store.ts";
import { ownValue } from "./entry.ts";
import { checkKey, newIncarnation, toConditions, toPut, toRequestId } from "./input.ts";

function invalidBody(reason: string): StateError {
  return new StateError("invalid_body", `${reason} Nothing was written.`);
}

/** The same request with values that stay as they are now. */
export function withOwnValues(request: TransactRequest): TransactRequest {
  if (request.put === undefined) return request;
  return {
    ...request,
    put: request.put.map((item) => ({ ...item, value: ownValue(item.value) })),
  };
}

/** Checks a request and puts it in the store's terms. */
export function toTransaction(request: TransactRequest, valueBytesMax: number): Transaction {
  const { if: guards = [], put = [], delete: deletes = [], get = [] } = request;
  for (const [name, items] of Object.entries({ if: guards, put, delete: deletes, get })) {
    if (items.length > TRANSACTION_ITEMS_MAX) {
      throw invalidBody(
        `"${name}" holds at most ${TRANSACTION_ITEMS_MAX} items; this one has ${items.length}.`,
      );
    }
  }
  if (guards.length + put.length + deletes.length + get.length === 0) {
    throw invalidBody("A transaction has some condition, write or read.");
  }
  const conditions = guards.flatMap(({ key, ...guard }) => {
    const found = toConditions(checkKey(key), guard);
    if (found.length === 0) throw invalidBody(`The condition on "${key}" says nothing.`);
    return found;
  });
  const puts = put.map((item) => toPut(checkKey(item.key), item, valueBytesMax));
  const deletedKeys = deletes.map(checkKey);
  assertDistinct([...puts.map(({ key }) => key), ...deletedKeys]);
  const bytes = puts.reduce((sum, { value }) => sum + value.byteLength, 0);
  if (bytes > TRANSACTION_VALUE_BYTES_MAX) {
    throw new StateError(
      "value_too_large",
      `A transaction's values hold at most ${TRANSACTION_VALUE_BYTES_MAX} bytes together; these ` +
        `have ${bytes}. Nothing was written.`,
      { details: { limit: TRANSACTION_VALUE_BYTES_MAX } },
    );
  }
  return {
    request: toRequestId(request.idempotencyKey, ["transaction"], {
      conditions,
      puts: puts.map(({ value: _value, ...rest }) => rest),
      deletes: deletedKeys,
      get,
    }),
    incarnation: newIncarnation(),
    conditions,
    puts,
    deletes: deletedKeys,
    reads: get.map(checkKey),
  };
}

function assertDistinct(keys: readonly Key[]): void {
  const seen = new Set<Key>();
  for (const key of keys) {
    if (seen.has(key)) throw invalidBody(`The key "${key}" is written twice.`);
    seen.add(key);
  }
}

/** Puts the store's outcome in the caller's terms. */
export function toTransactAnswer(transaction: Transaction, outcome: Committed): TransactAnswer {
  return {
    put: outcome.puts.map((result, index) => ({
      key: transaction.puts[index]?.key ?? "",
      incarnation: result.incarnation,
      version: result.version,
      createdAt: result.createdAt,
      digest: transaction.puts[index]?.digest ?? "",
      replayed: outcome.replayed,
    })),
    deleted: outcome.deletes.map(({ versions }, index) => ({
      key: transaction.deletes[index] ?? "",
      versions,
    })),
    get: outcome.reads.map((entry, index) => ({ key: transaction.reads[index] ?? "", entry })),
    replayed: outcome.replayed,
  };
}
