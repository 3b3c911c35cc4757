import type { Change, Cursor } from "../../store.ts";
import { invalid } from "../input.ts";

/** A feed cursor as an event's id: positions joined by "~", which none of them holds. */
export function encodeCursor(cursor: Cursor): string {
  return cursor.join("~");
}

/** The cursor of an event's id. Throws `invalid_parameter` for what is none. */
export function decodeCursor(id: string): Cursor {
  if (!/^[\w.~-]{0,8192}$/.test(id)) {
    throw invalid("Last-Event-ID", `"Last-Event-ID" is the id of an event of this watch.`);
  }
  return id.split("~");
}

/** The later position of each partition. */
export function laterOf(a: Cursor, b: Cursor): Cursor {
  return a.map((position, partition) => {
    const other = b[partition] ?? "";
    return position < other ? other : position;
  });
}

/** True where `a` has reached `b` in every partition. */
export function hasReached(a: Cursor, b: Cursor): boolean {
  return b.every((position, partition) => (a[partition] ?? "") >= position);
}

/** True for a change that a reader at this cursor already has. */
export function isBehind(change: Change, cursor: Cursor): boolean {
  return change.position <= (cursor[change.partition] ?? "");
}
