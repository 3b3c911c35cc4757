import type { Key } from "../../key.ts";
import type {
  EntryInfo,
  HistoryPage,
  Query,
  ReadResult,
  Select,
  StoredEntry,
} from "../../store.ts";
import { ByteReader } from "./bytes.ts";
import { toList } from "./connection.ts";
import {
  decodeInfo,
  incarnationIn,
  readItem,
  readLatest,
  toBuffer,
  versionIn,
} from "./entry-codec.ts";
import type { Executor, ScriptCall } from "./executor.ts";
import { KnownVersions } from "./known-versions.ts";
import { partitionOf, type Partition, type PartitionNames } from "./schema.ts";
import { HISTORY_SCRIPT, READ_LATEST_SCRIPT, READ_SCRIPT } from "./scripts.ts";

/** Reads in one script: about 3 ms of Redis's time. */
const SCRIPT_READS_MAX = 1000;
/** Bytes of large values that are asked for at once. */
const LARGE_BYTES_MAX = 8 * 1024 * 1024;

/** Reads from the primaries, one script per partition that a batch touches. */
export class Reader {
  readonly #executor: Executor;
  readonly #partitions: readonly Partition[];
  readonly #known = new KnownVersions();

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
    const [only] = queries;
    if (queries.length === 1 && only !== undefined && areAllLatest(queries)) {
      results.push(await this.#readLatest(partition, only, deadline));
      return this.#addLargeValues(results, { partition, queries, deadline });
    }
    for (let start = 0; start < queries.length; start += SCRIPT_READS_MAX) {
      const asked =
        queries.length <= SCRIPT_READS_MAX
          ? queries
          : queries.slice(start, start + SCRIPT_READS_MAX);
      results.push(...(await this.#readScript(partition, asked, deadline)));
    }
    return this.#addLargeValues(results, { partition, queries, deadline });
  }

  /**
   * Reads a key's latest entry alone: by one command where it can be guessed which version that is,
   * which takes Redis half of what a script does.
   */
  async #readLatest(partition: Partition, query: Query, deadline: number): Promise<ReadResult> {
    const { slot, names } = partition;
    const { key } = query;
    const guess = this.#known.guess(key);
    if (guess !== undefined) {
      const command = ["HMGET", names.key + key, "h", String(guess)];
      const reply = await this.#executor.runCommand({ slot, kind: "read", deadline }, command);
      const [head, entry] = toList(reply);
      if (Buffer.isBuffer(head) && Buffer.isBuffer(entry) && versionIn(head) === guess) {
        return readItem([head, entry].values(), query);
      }
    }
    const [found] = await this.#readScript(partition, [query], deadline);
    this.#known.note(key, found === undefined || found === "trimmed" ? undefined : found.version);
    return found;
  }

  async #readScript(
    { slot, names }: Partition,
    queries: readonly Query[],
    deadline: number,
  ): Promise<readonly ReadResult[]> {
    const where = { slot, kind: "read", deadline } as const;
    if (areAllLatest(queries)) {
      const keys = queries.map(({ key }) => names.key + key);
      const call = { script: READ_LATEST_SCRIPT, keys, args: [] };
      const reader = new ByteReader(toBuffer(await this.#executor.runScript(where, call)));
      return queries.map(() => readLatest(reader));
    }
    const call = { script: READ_SCRIPT, ...encodeQueries(queries, names) };
    const elements = toList(await this.#executor.runScript(where, call)).values();
    return queries.map((query) => readItem(elements, query));
  }

  /** Fetches the large values that were asked for, so much at once that Redis is not held up. */
  async #addLargeValues(results: ReadResult[], asked: Asked): Promise<readonly ReadResult[]> {
    let bytes = 0;
    let fetches: Promise<void>[] = [];
    for (const [place, query] of asked.queries.entries()) {
      const entry = results[place];
      if (!query.value || entry === undefined || entry === "trimmed") continue;
      if (entry.value !== undefined) continue;
      if (fetches.length > 0 && bytes + entry.size > LARGE_BYTES_MAX) {
        await Promise.all(fetches);
        fetches = [];
        bytes = 0;
      }
      bytes += entry.size;
      fetches.push(
        this.#fetchLarge(query, entry, asked).then((found) => {
          results[place] = found;
        }),
      );
    }
    await Promise.all(fetches);
    return results;
  }

  /** A value is asked for with the head: where the key was deleted since, it is read anew. */
  async #fetchLarge(query: Query, entry: StoredEntry, asked: Asked): Promise<ReadResult> {
    const { partition, deadline } = asked;
    const { slot, names } = partition;
    const command = ["HMGET", names.key + query.key, "h", `v${entry.version}`];
    const reply = await this.#executor.runCommand({ slot, kind: "read", deadline }, command);
    const [head, value] = toList(reply);
    if (Buffer.isBuffer(head) && Buffer.isBuffer(value)) {
      if (incarnationIn(head) === entry.incarnation) return { ...entry, value };
    }
    const [found] = await this.#readFrom(partition, [query], deadline);
    return found;
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

/** What is read of one partition. */
interface Asked {
  readonly partition: Partition;
  readonly queries: readonly Query[];
  readonly deadline: number;
}

function areAllLatest(queries: readonly Query[]): boolean {
  return queries.every(({ select, value }) => select === "latest" && value);
}

function encodeQueries(
  queries: readonly Query[],
  names: PartitionNames,
): Pick<ScriptCall, "keys" | "args"> {
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
  return { keys, args: [letters, ...numbers] };
}

function letterOf(select: Select, value: boolean): string {
  const letter = select === "latest" ? "l" : "version" in select ? "v" : "a";
  return value ? letter.toUpperCase() : letter;
}
