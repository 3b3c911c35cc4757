import type { HistoryItem } from "../api.ts";
import type { StoredEntry } from "../store.ts";

/** A stored entry in the form of lists and events, where an absent value is an absent member. */
export function withoutUndefinedValue(found: StoredEntry): HistoryItem {
  const { value, ...info } = found;
  return value === undefined ? info : { ...info, value };
}
