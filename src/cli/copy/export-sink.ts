import type { Key } from "../../key.ts";
import { endLine, entryLine, headerLine, keyLine, withdrawnLine } from "./export-format.ts";
import type { Sink, SourceEntry, SourceKey, Wanted } from "./source.ts";

export interface ExportSinkOptions {
  /** Answers when more can be taken. */
  readonly write: (text: string) => Promise<void>;
  readonly onWritten: (entries: readonly SourceEntry[]) => void;
  readonly onAbandoned: (key: Key) => void;
}

/** Writes versions as lines of JSON: the same store always gives the same bytes. */
export class ExportSink implements Sink {
  readonly #options: ExportSinkOptions;
  #keys = new Map<Key, SourceKey>();
  /** The key whose versions are being written, and how many there were. */
  #current: Key | undefined;
  #currentVersions = 0;
  #total = { keys: 0, versions: 0 };
  #isBegun = false;

  constructor(options: ExportSinkOptions) {
    this.#options = options;
  }

  async begin(keys: readonly SourceKey[]): Promise<readonly Wanted[]> {
    await this.#writeHeader();
    this.#keys = new Map(keys.map((info) => [info.key, info]));
    return keys.map((info) => ({ info, after: 0 }));
  }

  async write(entries: readonly SourceEntry[]): Promise<void> {
    let text = "";
    for (const entry of entries) {
      text += this.#keyLineOf(entry.key) + entryLine(entry);
      this.#currentVersions += 1;
      this.#total.versions += 1;
    }
    await this.#options.write(text);
    this.#options.onWritten(entries);
  }

  async withdraw(key: Key): Promise<void> {
    if (this.#current !== key) return;
    this.#total.keys -= 1;
    this.#total.versions -= this.#currentVersions;
    this.#current = undefined;
    await this.#options.write(withdrawnLine());
  }

  abandon(key: Key): void {
    this.#options.onAbandoned(key);
  }

  async end(): Promise<void> {
    await this.#writeHeader();
    await this.#options.write(endLine(this.#total));
  }

  #keyLineOf(key: Key): string {
    const info = this.#keys.get(key);
    if (key === this.#current || info === undefined) return "";
    this.#current = key;
    this.#currentVersions = 0;
    this.#total.keys += 1;
    return keyLine(info);
  }

  /** With the first keys, or at the end of a store without any. */
  async #writeHeader(): Promise<void> {
    if (this.#isBegun) return;
    this.#isBegun = true;
    await this.#options.write(headerLine());
  }
}
