/** What is read or written at once. Two such batches are in memory at a time, and their copies. */
export const COPY_ITEMS_MAX = 256;
export const COPY_BYTES_MAX = 8 * 1024 * 1024;

/** Gathers items until another one would be too many, or too large together. */
export class Gatherer<T extends { readonly size: number }> {
  #items: T[] = [];
  #bytes = 0;

  /** Takes an item, and answers the batch that is full without it. */
  add(item: T): readonly T[] | undefined {
    const isFull =
      this.#items.length >= COPY_ITEMS_MAX ||
      (this.#items.length > 0 && this.#bytes + item.size > COPY_BYTES_MAX);
    const full = isFull ? this.take() : undefined;
    this.#items.push(item);
    this.#bytes += item.size;
    return full;
  }

  /** Takes out what has gathered. */
  take(): readonly T[] {
    const items = this.#items;
    this.#items = [];
    this.#bytes = 0;
    return items;
  }
}
