import type { StatementSync } from "node:sqlite";

import type { EntryInfo, StoredEntry } from "../../store.ts";

/**
 * An entry's metadata as every statement selects it, in this order: `h` is the key's head, `v` the
 * version. Rows come as arrays, which `node:sqlite` makes in two thirds of the time of objects.
 */
export const INFO_COLUMNS =
  "h.incarnation, v.version, v.created_at, v.size, v.digest, v.content_type, v.author, v.message";

export type InfoRow = readonly [
  incarnation: string,
  version: number,
  createdAt: number,
  size: number,
  digest: string,
  contentType: string | null,
  author: string | null,
  message: string | null,
];

export function toInfo(row: InfoRow): EntryInfo {
  return {
    incarnation: row[0],
    version: row[1],
    createdAt: row[2],
    size: row[3],
    digest: row[4],
    contentType: row[5] ?? undefined,
    author: row[6] ?? undefined,
    message: row[7] ?? undefined,
  };
}

export function toEntry<Value extends Uint8Array | undefined>(
  row: InfoRow,
  value: Value,
): StoredEntry & { readonly value: Value } {
  return {
    incarnation: row[0],
    version: row[1],
    createdAt: row[2],
    size: row[3],
    digest: row[4],
    contentType: row[5] ?? undefined,
    author: row[6] ?? undefined,
    message: row[7] ?? undefined,
    value,
  };
}

export type Parameter = null | number | string | Uint8Array;

/** The first row, as its columns, or undefined. */
export function getRow<Row>(
  statement: StatementSync,
  ...parameters: readonly Parameter[]
): Row | undefined {
  // `setReturnArrays` changes what comes, and the types do not know of it.
  return statement.get(...parameters) as unknown as Row | undefined;
}

/** All rows, each as its columns. */
export function getRows<Row>(
  statement: StatementSync,
  ...parameters: readonly Parameter[]
): readonly Row[] {
  return statement.all(...parameters) as unknown as readonly Row[];
}
