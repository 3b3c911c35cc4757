import type { Key } from "../../key.ts";
import type { EntryInfo, HistoryPage, Query, ReadResult, Select } from "../../store.ts";
import { toList } from "./connection.ts";
import { decodeInfo, readItem, toBuffer, type Item } from "./entry-codec.ts";
import type { Executor } from "./executor.ts";
import { partitionOf, type Partition } from "./schema.ts";
import { HISTORY_SCRIPT, READ_SCRIPT } from "./scripts.ts";

/** Reads in one script: about 3 ms of Redis's time. */
const SCRIPT_READS_MAX = 1000;

/** Reads from the primaries, one script per partition that a batch touches. */
export class Reader {
  readonly #executor: Executor;
  readonly #partitions: readonly Partition[];

  constructor(executor: Executor, partitions: readonly Partition[]) {
    this.#executor = executor;
    this.#partitions = partitions;
  }

  async read(queries: readonly Query[], deadline: number): Promise<readonly ReadResult[]> {
    const [only] = this.#partitions;
    if (this.#partitions.length === 1 && only !== undefined) {
      return this.#readFrom(only, queries, deadline);
    }
    const results: ReadResult[] = Array.from({ length: queries.length });
    const places = new Map<Partition, number[]>();
    queries.forEach(({ key }, place) => {
      const partition = this.#partitionOf(key);
      const known = places.get(partition);
      if (known === undefined) places.set(partition, [place]);
      else known.push(place);
    });
    await Promise.all(
      Array.from(places, async ([partition, own]) => {
        const asked = own.map((place) => queries[place] as Query);
        const found = await this.#readFrom(partition, asked, deadline);
        own.forEach((place, index) => {
          results[place] = found[index];
        });
      }),
    );
    return results;
  }

  #partitionOf(key: Key): Partition {
    // The modulus of a list that is never empty is always one of its indexes.
    return this.#partitions[partitionOf(key, this.#partitions.length)] as Partition;
  }

  async #readFrom(
    partition: Partition,
    queries: readonly Query[],
    deadline: number,
  ): Promise<readonly ReadResult[]> {
    const results: ReadResult[] = [];
    while (results.length < queries.length) {
      const start = results.length;
      const asked =
        start === 0 && queries.length <= SCRIPT_READS_MAX
          ? queries
          : queries.slice(start, start + SCRIPT_READS_MAX);
      for (const item of await this.#readScript(partition, asked, deadline)) {
        // From the first one that did not fit, all are asked for again.
        if (item === "later") break;
        results.push(item);
      }
    }
    return results;
  }

  async #readScript(
    { slot, names }: Partition,
    queries: readonly Query[],
    deadline: number,
  ): Promise<readonly Item[]> {
    let letters = "";
    const keys: string[] = [];
    const numbers: string[] = [];
    for (const { key, select, value } of queries) {
      keys.push(names.key + key);
      letters += letterOf(select, value);
      if (select !== "latest") {
        numbers.push(String("version" in select ? select.version : select.asOf));
      }
    }
    const call = { script: READ_SCRIPT, keys, args: [letters, ...numbers] };
    const reply = await this.#executor.runScript({ slot, kind: "read", deadline }, call);
    const elements = toList(reply).values();
    return queries.map((query) => readItem(elements, query));
  }

  async history(key: Key, page: HistoryPage, deadline: number): Promise<readonly EntryInfo[]> {
    const { slot, names } = this.#partitionOf(key);
    const isUp = page.order === "oldest-first";
    const bound = isUp ? page.after : (page.before ?? Number.MAX_SAFE_INTEGER);
    const args = [isUp ? "up" : "down", String(bound), String(page.limit)];
    const call = { script: HISTORY_SCRIPT, keys: [names.key + key], args };
    const reply = await this.#executor.runScript({ slot, kind: "read", deadline }, call);
    const [head, from, ...entries] = toList(reply);
    return entries.map((entry, index) =>
      decodeInfo(toBuffer(head), toBuffer(entry), Number(from) + (isUp ? index : -index)),
    );
  }
}

function letterOf(select: Select, value: boolean): string {
  const letter = select === "latest" ? "l" : "version" in select ? "v" : "a";
  return value ? letter.toUpperCase() : letter;
}
