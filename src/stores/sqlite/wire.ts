import type {
  Committed,
  Condition,
  Entry,
  ImportedEntry,
  Outcome,
  Put,
  RequestId,
  Transaction,
  Unmet,
} from "../../store.ts";
import type { Key } from "../../key.ts";

/**
 * A batch as it crosses from one thread to the other: everything but the values as one JSON text, and
 * the values one after the other in one buffer that changes hands. Posting the objects as they are
 * takes four times as long, and would copy the whole slab that a small Buffer is a slice of.
 */
export interface Packed {
  readonly text: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

type PackedPut = [
  key: Key,
  size: number,
  digest: string,
  contentType: string | undefined | null,
  author: string | undefined | null,
  message: string | undefined | null,
  imported: ImportedEntry | undefined | null,
];

type PackedTransaction = [
  request: RequestId | undefined | null,
  incarnation: string,
  conditions: readonly Condition[],
  puts: readonly PackedPut[],
  deletes: readonly Key[],
  reads: readonly Key[],
];

export function packTransactions(transactions: readonly Transaction[]): Packed {
  const values: Uint8Array[] = [];
  const packed = transactions.map((transaction): PackedTransaction => {
    const { request, incarnation, conditions, deletes, reads } = transaction;
    const puts = transaction.puts.map((put) => packPut(put, values));
    return [request, incarnation, conditions, puts, deletes, reads];
  });
  return { text: JSON.stringify(packed), bytes: concat(values) };
}

function packPut(put: Put, values: Uint8Array[]): PackedPut {
  const { key, value, digest, contentType, author, message, imported } = put;
  values.push(value);
  return [key, value.byteLength, digest, contentType, author, message, imported];
}

export function unpackTransactions({ text, bytes }: Packed): readonly Transaction[] {
  const values = new Slices(bytes);
  const packed = JSON.parse(text) as readonly PackedTransaction[];
  return packed.map(([request, incarnation, conditions, puts, deletes, reads]) => ({
    request: request ?? undefined,
    incarnation,
    conditions,
    puts: puts.map((put) => unpackPut(put, values)),
    deletes,
    reads,
  }));
}

function unpackPut(packed: PackedPut, values: Slices): Put {
  const [key, size, digest, contentType, author, message, imported] = packed;
  return {
    key,
    value: values.take(size),
    digest,
    contentType: contentType ?? undefined,
    author: author ?? undefined,
    message: message ?? undefined,
    imported: imported ?? undefined,
  };
}

/** An array is a committed transaction; an object any other outcome. */
type PackedOutcome = PackedCommitted | Exclude<Outcome, Committed>;

type PackedCommitted = [
  replayed: boolean,
  puts: readonly (readonly [incarnation: string, version: number, createdAt: number])[],
  deletes: readonly number[],
  reads: readonly (Omit<Entry, "value"> | undefined | null)[],
];

export function packOutcomes(outcomes: readonly Outcome[]): Packed {
  const values: Uint8Array[] = [];
  const packed = outcomes.map((outcome): PackedOutcome => {
    return outcome.outcome === "committed" ? packCommitted(outcome, values) : outcome;
  });
  return { text: JSON.stringify(packed), bytes: concat(values) };
}

function packCommitted(outcome: Committed, values: Uint8Array[]): PackedCommitted {
  const puts = outcome.puts.map(
    ({ incarnation, version, createdAt }) => [incarnation, version, createdAt] as const,
  );
  const deletes = outcome.deletes.map(({ versions }) => versions);
  const reads = outcome.reads.map((entry) => {
    if (entry === undefined) return undefined;
    const { value, ...info } = entry;
    values.push(value);
    return info;
  });
  return [outcome.replayed, puts, deletes, reads];
}

export function unpackOutcomes({ text, bytes }: Packed): readonly Outcome[] {
  const values = new Slices(bytes);
  const packed = JSON.parse(text) as readonly PackedOutcome[];
  return packed.map((outcome) => {
    if (Array.isArray(outcome)) return unpackCommitted(outcome, values);
    return unpackOther(outcome);
  });
}

function unpackCommitted(packed: PackedCommitted, values: Slices): Committed {
  const [replayed, puts, deletes, reads] = packed;
  return {
    outcome: "committed",
    replayed,
    puts: puts.map(([incarnation, version, createdAt]) => ({ incarnation, version, createdAt })),
    deletes: deletes.map((versions) => ({ versions })),
    reads: reads.map((info) => {
      if (info === undefined || info === null) return undefined;
      const { contentType, author, message } = info;
      return { ...info, contentType, author, message, value: values.take(info.size) };
    }),
  };
}

/** JSON leaves out what is undefined; callers may look for it. */
function unpackOther(outcome: Exclude<Outcome, Committed>): Outcome {
  if (outcome.outcome !== "conflict") return outcome;
  const unmet = outcome.unmet.map(({ condition, key, current }): Unmet => ({
    condition,
    key,
    current,
  }));
  return { outcome: "conflict", unmet };
}

function concat(values: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const value of values) size += value.byteLength;
  // Its own memory, not a slice of Node's pool, so that it can be transferred.
  const bytes = Buffer.allocUnsafeSlow(size);
  let offset = 0;
  for (const value of values) {
    bytes.set(value, offset);
    offset += value.byteLength;
  }
  return bytes;
}

/** Cuts a buffer into the values that were joined in it. */
class Slices {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  take(size: number): Uint8Array {
    const start = this.#offset;
    this.#offset += size;
    return this.#bytes.subarray(start, this.#offset);
  }
}
