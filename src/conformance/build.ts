import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { parseKey, type Key } from "../key.ts";
import type {
  Committed,
  Condition,
  Outcome,
  Put,
  PutResult,
  ReadResult,
  RequestId,
  Select,
  Store,
  StoredEntry,
  Transaction,
} from "../store.ts";

/** Checks a key that a case made; a case never uses an illegal one. */
export function keyOf(text: string): Key {
  const parsed = parseKey(text);
  assert.ok(parsed.ok, `the suite made an illegal key: ${JSON.stringify(text)}`);
  return parsed.key;
}

/** Text that no other case, run or process has used: cases share a store and clean nothing up. */
export function unique(): string {
  return randomBytes(8).toString("hex");
}

/** A request id and its fingerprint, made as the engine makes them: hashes in hexadecimal. */
export function requestId(fingerprint: string = unique(), id: string = unique()): RequestId {
  return { id: hash(id).slice(0, 32), fingerprint: hash(fingerprint).slice(0, 32) };
}

export function hash(value: string | Uint8Array): string {
  return createHash("sha256").update(value).digest("hex");
}

export function put(key: Key, value: string | Uint8Array, more: Partial<Put> = {}): Put {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  return {
    key,
    value: bytes,
    digest: hash(bytes),
    contentType: undefined,
    author: undefined,
    message: undefined,
    imported: undefined,
    ...more,
  };
}

export function transaction(parts: Partial<Transaction>): Transaction {
  return {
    request: undefined,
    incarnation: unique(),
    conditions: [],
    puts: [],
    deletes: [],
    reads: [],
    ...parts,
  };
}

/** Commits one transaction in a batch of its own. */
export async function commit(store: Store, parts: Partial<Transaction>): Promise<Outcome> {
  const outcomes = await store.commit([transaction(parts)]);
  assert.equal(outcomes.length, 1, "one transaction has one outcome");
  return at(outcomes, 0);
}

/** The item at an index that must be there. */
export function at<Item>(items: readonly Item[], index: number): Item {
  const item = items.at(index);
  assert.ok(item !== undefined, `item ${index} of ${items.length} is there`);
  return item;
}

/** Narrows an outcome, and shows the whole of it where it is another one. */
export function committed(outcome: Outcome): Committed {
  if (outcome.outcome === "committed") return outcome;
  if (outcome.outcome === "failed") throw outcome.error;
  return assert.fail(`expected "committed", not ${JSON.stringify(outcome)}`);
}

/** Puts one value without a condition. */
export async function putOne(
  store: Store,
  key: Key,
  value: string | Uint8Array,
  more: Partial<Put> = {},
): Promise<PutResult> {
  const outcome = committed(await commit(store, { puts: [put(key, value, more)] }));
  assert.equal(outcome.puts.length, 1, "one put has one result");
  return at(outcome.puts, 0);
}

/** Puts one value under a condition. */
export async function putIf(store: Store, condition: Condition, value: string): Promise<Outcome> {
  return commit(store, { conditions: [condition], puts: [put(condition.key, value)] });
}

/** Puts `count` versions `PREFIX-1` and so on, in batches that a store takes well. */
export async function putMany(
  store: Store,
  key: Key,
  count: number,
  prefix = "value",
): Promise<void> {
  for (let first = 1; first <= count; first += 256) {
    const size = Math.min(256, count - first + 1);
    const batch = Array.from({ length: size }, (_, i) =>
      transaction({ puts: [put(key, `${prefix}-${first + i}`)] }),
    );
    for (const outcome of await store.commit(batch)) committed(outcome);
  }
}

/** Puts one value under each key, in batches that a store takes well. */
export async function putKeys(store: Store, keys: readonly Key[]): Promise<void> {
  for (let first = 0; first < keys.length; first += 256) {
    const batch = keys
      .slice(first, first + 256)
      .map((key) => transaction({ puts: [put(key, `of ${key}`)] }));
    for (const outcome of await store.commit(batch)) committed(outcome);
  }
}

/** Deletes one key without a condition, and answers how many versions it had. */
export async function deleteOne(store: Store, key: Key): Promise<number> {
  const outcome = committed(await commit(store, { deletes: [key] }));
  assert.equal(outcome.deletes.length, 1, "one delete has one result");
  return at(outcome.deletes, 0).versions;
}

/** Reads one entry with its value. */
export async function readOne(
  store: Store,
  key: Key,
  select: Select = "latest",
): Promise<ReadResult> {
  const results = await store.read([{ key, select, value: true }]);
  assert.equal(results.length, 1, "one query has one answer");
  return results[0];
}

/** Reads one entry that must be there. */
export async function readEntry(
  store: Store,
  key: Key,
  select: Select = "latest",
): Promise<StoredEntry> {
  return existing(await readOne(store, key, select), `${JSON.stringify(select)} of ${key}`);
}

/** Narrows the answer to a query. */
export function existing(result: ReadResult, what: string): StoredEntry {
  assert.ok(result !== undefined, `${what}: expected an entry, not none`);
  assert.ok(result !== "trimmed", `${what}: expected an entry, not "trimmed"`);
  return result;
}

/** The value of an answer as text; undefined where there is no entry. */
export function textOf(result: ReadResult): string | undefined {
  if (result === undefined) return undefined;
  if (result === "trimmed") return "trimmed";
  assert.ok(result.value !== undefined, "the value was asked for");
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(result.value);
}

/** Compares bytes whatever class holds them: a Buffer is as good as a Uint8Array. */
export function assertBytes(
  actual: Uint8Array | undefined,
  expected: Uint8Array,
  what: string,
): void {
  assert.ok(actual instanceof Uint8Array, `${what}: a value is a Uint8Array`);
  assert.equal(actual.byteLength, expected.byteLength, `${what}: its length`);
  assert.ok(Buffer.compare(actual, expected) === 0, `${what}: its bytes`);
}
