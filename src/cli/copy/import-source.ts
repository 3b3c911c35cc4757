import { Gatherer } from "./batches.ts";
import { formatError, parseLine, type Line } from "./export-format.ts";
import type { Source, SourceBatch, SourceEntry, SourceKey, Total, Wanted } from "./source.ts";
import { checkDigest } from "./store-source.ts";

/** A value of the largest size, each of whose bytes JSON writes as six characters, and its metadata. */
const LINE_BYTES_MAX = 100 * 1024 * 1024;

/** Reads versions from the lines of an export, once and in order, and never further than asked. */
export class ImportSource implements Source {
  readonly #lines: AsyncIterator<Line, void>;
  #next: Line | undefined;
  #number = 0;
  /** What was taken so far, and of the last key. */
  #total = { keys: 0, versions: 0 };
  #keyVersions = 0;

  constructor(input: AsyncIterable<Uint8Array>) {
    this.#lines = this.#parse(input);
  }

  total(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async *pages(): AsyncGenerator<readonly SourceKey[], void, undefined> {
    const first = await this.#take();
    if (first?.kind !== "header") throw formatError(1, "is not the first line of an export");
    for (;;) {
      // What remains of a key that was not wanted is skipped.
      const line = await this.#take();
      if (line === undefined) throw formatError(this.#number, "is the last: the rest was cut off");
      if (line.kind === "header") throw formatError(this.#number, "begins another export");
      if (line.kind === "key") yield [line.info];
      if (line.kind === "end") return this.#checkTotal(line.total);
    }
  }

  async *entries(wanted: readonly Wanted[]): AsyncGenerator<SourceBatch, void, undefined> {
    const gatherer = new Gatherer<SourceEntry>();
    for (const { info, after } of wanted) {
      let last = 0;
      let lastCreatedAt = 0;
      for (let line = await this.#peek(); line?.kind === "entry"; line = await this.#peek()) {
        await this.#take();
        const entry = { ...line.entry, key: info.key, incarnation: info.incarnation };
        if (last !== 0 && entry.version !== last + 1) {
          throw formatError(this.#number, `has version ${entry.version} after version ${last}`);
        }
        // Reads as of a time halve a history, so its times may not decrease.
        if (entry.createdAt < lastCreatedAt) {
          throw formatError(this.#number, `is older than version ${last}, which comes before it`);
        }
        last = entry.version;
        lastCreatedAt = entry.createdAt;
        const full = entry.version > after ? gatherer.add(checkDigest(entry)) : undefined;
        if (full !== undefined) yield { entries: full, gone: [] };
      }
      const isWithdrawn = (await this.#peek())?.kind === "withdrawn";
      if (last !== info.version && !isWithdrawn) {
        throw formatError(this.#number, `follows version ${last} of ${info.version}`);
      }
      yield { entries: gatherer.take(), gone: isWithdrawn ? [info.key] : [] };
    }
  }

  /** A key that was withdrawn comes again by itself, if it does. */
  again(): Promise<readonly SourceKey[]> {
    return Promise.resolve([]);
  }

  async #peek(): Promise<Line | undefined> {
    if (this.#next === undefined) {
      const { value, done } = await this.#lines.next();
      this.#next = done === true ? undefined : value;
    }
    return this.#next;
  }

  async #take(): Promise<Line | undefined> {
    const line = await this.#peek();
    this.#next = undefined;
    if (line !== undefined) this.#count(line);
    return line;
  }

  #count({ kind }: Line): void {
    const total = this.#total;
    if (kind === "entry") {
      total.versions += 1;
      this.#keyVersions += 1;
    }
    if (kind === "key") {
      total.keys += 1;
      this.#keyVersions = 0;
    }
    if (kind === "withdrawn") {
      total.keys -= 1;
      total.versions -= this.#keyVersions;
    }
  }

  #checkTotal({ keys, versions }: Total): void {
    if (keys === this.#total.keys && versions === this.#total.versions) return;
    throw formatError(
      this.#number,
      `tells of ${versions} versions of ${keys} keys, but ${this.#total.versions} of ` +
        `${this.#total.keys} came before it`,
    );
  }

  async *#parse(input: AsyncIterable<Uint8Array>): AsyncGenerator<Line, void, undefined> {
    for await (const text of linesOf(input)) {
      this.#number += 1;
      if (text.trim() !== "") yield parseLine(text, this.#number);
    }
  }
}

/** Splits bytes at line ends. A line is whole in memory, and bounded. */
async function* linesOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  let parts: Uint8Array[] = [];
  let size = 0;
  let number = 1;
  for await (const chunk of input) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_END); end !== -1; end = chunk.indexOf(LINE_END, start)) {
      yield Buffer.concat([...parts, chunk.subarray(start, end)]).toString("utf8");
      parts = [];
      size = 0;
      number += 1;
      start = end + 1;
    }
    parts.push(chunk.subarray(start));
    size += chunk.length - start;
    if (size > LINE_BYTES_MAX) throw formatError(number, "is longer than any version can be");
  }
  if (size > 0) yield Buffer.concat(parts).toString("utf8");
}

const LINE_END = 0x0a;
