import type { HistoryItem, WatchEvent } from "../../api.ts";
import type { Change } from "../../store.ts";
import { withoutUndefinedValue } from "../entry.ts";
import type { Readers } from "../readers.ts";

/**
 * Reads what the feed does not carry: the metadata, and the value where it is asked for, of changed
 * entries. Watchers of the same change share one read, and one event object where its id is the same.
 */
export class Details {
  readonly #readers: Readers;
  readonly #events = {
    withValue: new WeakMap<Change, Promise<HistoryItem | undefined>>(),
    withoutValue: new WeakMap<Change, Promise<HistoryItem | undefined>>(),
  };

  constructor(readers: Readers) {
    this.#readers = readers;
  }

  /** The event of a change as a watcher gets it. */
  async toEvent(change: Change, id: string, values: boolean): Promise<WatchEvent> {
    const { key, version, at } = change;
    if (change.deleted) return { type: "delete", id, key };
    const entry = await this.#entryOf(change, values);
    return { type: "put", id, key, version, createdAt: at, entry };
  }

  #entryOf(change: Change, values: boolean): Promise<HistoryItem | undefined> {
    const known = values ? this.#events.withValue : this.#events.withoutValue;
    const found = known.get(change) ?? this.#read(change, values);
    known.set(change, found);
    return found;
  }

  async #read(change: Change, value: boolean): Promise<HistoryItem | undefined> {
    const { key, version, incarnation } = change;
    const found = await this.#readers.read({ key, select: { version }, value });
    // Deleted since, and perhaps put again: that is another incarnation's entry.
    if (found === undefined || found === "trimmed" || found.incarnation !== incarnation) {
      return undefined;
    }
    return withoutUndefinedValue(found);
  }
}
