import { compareKeys, keyAfter, type Key } from "../../key.ts";
import type { KeyInfo, KeysPage } from "../../store.ts";
import { ByteReader } from "./bytes.ts";
import { readLatestInfo, toBuffer } from "./entry-codec.ts";
import type { Executor } from "./executor.ts";
import type { Partition } from "./schema.ts";
import { LIST_SCRIPT } from "./scripts.ts";

/** Asked of a partition beyond its share, as hashes never share out evenly. */
const SHARE_SLACK = 8;
/** Keys in one script: about 3 ms of Redis's time. */
const SCRIPT_KEYS_MAX = 1000;

/** How far one partition has been fetched. */
interface Source {
  readonly partition: Partition;
  /** The last key that was fetched; undefined before the first. */
  last: Key | undefined;
  isExhausted: boolean;
}

/**
 * Lists keys in key order over all partitions: each answers its own in order, and they are merged.
 * What is fetched follows the page, not the number of keys.
 */
export class Lister {
  readonly #executor: Executor;
  readonly #partitions: readonly Partition[];

  constructor(executor: Executor, partitions: readonly Partition[]) {
    this.#executor = executor;
    this.#partitions = partitions;
  }

  async keys(page: KeysPage, deadline: number): Promise<readonly KeyInfo[]> {
    const count = this.#partitions.length;
    const share = count === 1 ? page.limit : Math.ceil(page.limit / count) + SHARE_SLACK;
    const chunk = { ...page, limit: Math.min(share, SCRIPT_KEYS_MAX) };
    const sources = this.#partitions.map((partition): Source => ({
      partition,
      last: undefined,
      isExhausted: false,
    }));
    const listed: KeyInfo[] = [];
    let fetched: KeyInfo[] = [];
    let blocking: readonly Source[] = sources;
    while (listed.length < page.limit && blocking.length > 0) {
      const found = await Promise.all(blocking.map((one) => this.#fetch(one, chunk, deadline)));
      fetched = [...fetched, ...found.flat()].sort((a, b) => compareKeys(a.key, b.key));
      // Past the least of the last fetched keys, its partition may hold keys that come before others'.
      const open = sources.filter(({ isExhausted }) => !isExhausted);
      const bound = least(open.map(({ last }) => last ?? ("" as Key)));
      const complete =
        bound === undefined
          ? fetched.length
          : fetched.findLastIndex(({ key }) => compareKeys(key, bound) <= 0) + 1;
      listed.push(...fetched.splice(0, complete));
      blocking = open.filter(({ last }) => last === bound);
    }
    return listed.slice(0, page.limit);
  }

  /** The next chunk of one partition's keys. */
  async #fetch(source: Source, chunk: KeysPage, deadline: number): Promise<readonly KeyInfo[]> {
    const { slot, names } = source.partition;
    const from = source.last === undefined ? chunk.from : keyAfter(source.last);
    const to = chunk.to === undefined ? "+" : `(${chunk.to}`;
    const args = [`[${from}`, to, String(chunk.limit), names.key];
    const call = { script: LIST_SCRIPT, keys: [names.index], args };
    const reply = await this.#executor.runScript({ slot, kind: "read", deadline }, call);
    const reader = new ByteReader(toBuffer(reply));
    const keys: KeyInfo[] = [];
    while (!reader.isAtEnd) {
      const key = reader.textTo(0) as Key;
      keys.push({ ...readLatestInfo(reader), key });
    }
    source.last = keys.at(-1)?.key ?? source.last;
    source.isExhausted = keys.length < chunk.limit;
    return keys;
  }
}

function least(keys: readonly Key[]): Key | undefined {
  return keys.reduce<Key | undefined>(
    (found, key) => (found === undefined || compareKeys(key, found) < 0 ? key : found),
    undefined,
  );
}
