import type { HistoryItem } from "../api.ts";
import type { ReadResult, StoredEntry } from "../store.ts";

/** A stored entry in the form of lists and events, where an absent value is an absent member. */
export function withoutUndefinedValue(found: StoredEntry): HistoryItem {
  const { value, ...info } = found;
  return value === undefined ? info : { ...info, value };
}

/** The same with bytes of its own. A `slice` would not do: that of a Buffer shares them. */
export function withOwnValue<Result extends ReadResult>(found: Result): Result {
  if (found === undefined || found === "trimmed" || found.value === undefined) return found;
  return Object.assign({}, found, { value: Buffer.from(found.value) });
}

/** A value that stays as it is now, whatever its caller writes into what it passed. */
export function ownValue(value: string | Uint8Array): string | Uint8Array {
  return typeof value === "string" ? value : Buffer.from(value);
}
