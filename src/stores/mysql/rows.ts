import type { EntryInfo, StoredEntry } from "../../store.ts";
import type { Cell, Rows } from "./session.ts";

/** The columns of an entry's metadata in `versions`, which stands as `v` in every statement. */
export const INFO_COLUMNS =
  "v.incarnation, v.version, v.created_at, v.size, v.digest, v.content_type, v.author, v.message";

/** How many cells {@link INFO_COLUMNS} makes. */
export const INFO_CELLS = 8;

/** A row that starts with {@link INFO_COLUMNS}. */
export function toInfo(row: Rows[number], from = 0): EntryInfo {
  return {
    incarnation: toText(row[from]) ?? "",
    version: toNumber(row[from + 1]),
    createdAt: toNumber(row[from + 2]),
    size: toNumber(row[from + 3]),
    digest: toBuffer(row[from + 4]).toString("hex"),
    contentType: toText(row[from + 5]),
    author: toText(row[from + 6]),
    message: toText(row[from + 7]),
  };
}

/** A row of {@link INFO_COLUMNS} and, where `hasValue`, the value after them. */
export function toEntry(row: Rows[number], from: number, hasValue: boolean): StoredEntry {
  const info = toInfo(row, from) as { -readonly [name in keyof StoredEntry]: StoredEntry[name] };
  info.value = hasValue ? detach(toBuffer(row[from + INFO_CELLS])) : undefined;
  return info;
}

/**
 * The driver's buffers are windows onto what came from the socket, so a small value that somebody
 * keeps would keep the whole of it in memory.
 */
function detach(value: Buffer): Uint8Array {
  return value.length * 2 < value.buffer.byteLength ? Buffer.from(value) : value;
}

export function toNumber(cell: Cell | undefined): number {
  return typeof cell === "number" ? cell : Number(cell);
}

export function toText(cell: Cell | undefined): string | undefined {
  if (cell === null || cell === undefined) return undefined;
  return typeof cell === "string" ? cell : cell.toString();
}

/** A stamp as 16 hexadecimal digits. */
export function toStamp(cell: Cell | undefined): string {
  return toBuffer(cell).toString("hex");
}

export function toBuffer(cell: Cell | undefined): Buffer {
  return Buffer.isBuffer(cell) ? cell : Buffer.from(String(cell ?? ""));
}
