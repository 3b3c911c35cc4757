import type { HistoryItem, WatchEvent } from "../../api.ts";
import type { Change } from "../../store.ts";
import { withoutUndefinedValue } from "../entry.ts";
import type { Readers } from "../readers.ts";

/** Events with a larger value are made for each watcher: the hub keeps thousands of changes. */
const SHARED_VALUE_BYTES_MAX = 1024;

function isLarge(event: WatchEvent): boolean {
  return event.type === "put" && (event.entry?.value?.byteLength ?? 0) > SHARED_VALUE_BYTES_MAX;
}

/**
 * Reads what the feed does not carry: the metadata, and the value where it is asked for, of changed
 * entries. Watchers that get the same event share one read and one object.
 */
export class Details {
  readonly #readers: Readers;
  /** The events made of a change, by their id and whether they hold the value. */
  readonly #events = new WeakMap<Change, Map<string, Promise<WatchEvent>>>();

  constructor(readers: Readers) {
    this.#readers = readers;
  }

  /** The event of a change as a watcher gets it. */
  toEvent(change: Change, id: string, values: boolean): Promise<WatchEvent> {
    const made = this.#events.get(change) ?? new Map<string, Promise<WatchEvent>>();
    this.#events.set(change, made);
    const name = values ? `${id} with value` : id;
    const event = made.get(name) ?? this.#make(change, id, values);
    made.set(name, event);
    // What failed is tried again by the next, and what is large must not live as long as its change.
    const forget = (): unknown => made.delete(name);
    event.then((done) => isLarge(done) && forget(), forget);
    return event;
  }

  async #make(change: Change, id: string, values: boolean): Promise<WatchEvent> {
    const { key, incarnation, version, at } = change;
    if (change.deleted) return { type: "delete", id, key, incarnation, version };
    const entry = await this.#read(change, values);
    return { type: "put", id, key, incarnation, version, createdAt: at, entry };
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
