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

/** A row with the value as its last column, where the statement selects it. */
export type EntryRow = readonly [...InfoRow, value?: Uint8Array];

/** Further columns after the metadata are the caller's own. */
export function toInfo(row: readonly [...InfoRow, ...unknown[]]): EntryInfo {
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

/** Spelled out, as every read makes one: it is the most frequent thing that is done here. */
export function toEntry(row: EntryRow): StoredEntry {
  return {
    incarnation: row[0],
    version: row[1],
    createdAt: row[2],
    size: row[3],
    digest: row[4],
    contentType: row[5] ?? undefined,
    author: row[6] ?? undefined,
    message: row[7] ?? undefined,
    value: row[8],
  };
}

/**
 * The columns of what a statement's `get` answered. Connections return arrays, which the types of
 * `node:sqlite` do not know of.
 */
export function asRow<Row>(answer: unknown): Row | undefined {
  return answer as Row | undefined;
}

/** The columns of all that a statement's `all` answered. */
export function asRows<Row>(answer: unknown): readonly Row[] {
  return answer as readonly Row[];
}
