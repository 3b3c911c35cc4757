import { StateError } from "../../errors.ts";
import type { Key } from "../../key.ts";
import { BATCH_BYTES_MAX } from "../../limits.ts";
import type { Outcome, Transaction } from "../../store.ts";
import { classify } from "./classify.ts";
import type { Committer } from "./commit.ts";
import type { Database } from "./database.ts";
import { PACKET_OVERHEAD_BYTES } from "./settings.ts";

/** Keys of one database transaction: statements that list them stay far below a packet. */
const KEYS_MAX = 1024;

/** Of its keys together; in the feed, one of control characters takes twelve times its length. */
const KEY_CHARS_MAX = 192 * 1024;

/** A transaction at its place in the batch. */
interface Placed {
  readonly place: number;
  readonly transaction: Transaction;
}

/** Perhaps counting some twice. */
function countKeys({ conditions, puts, deletes, reads }: Transaction): number {
  return conditions.length + puts.length + deletes.length + reads.length;
}

function countChars({ puts, deletes }: Transaction): number {
  let chars = 0;
  for (const { key } of puts) chars += key.length;
  for (const key of deletes) chars += key.length;
  return chars;
}

function importsInto(keys: ReadonlySet<Key>, { puts }: Transaction): boolean {
  return keys.size > 0 && puts.some(({ key, imported }) => imported !== undefined && keys.has(key));
}

/**
 * Commits a batch as the fewest database transactions of bounded size, one after the other, and sets
 * aside what is too large for the server to take.
 */
export class BatchSplitter {
  readonly #database: Database;
  readonly #committer: Committer;

  constructor(database: Database, committer: Committer) {
    this.#database = database;
    this.#committer = committer;
  }

  commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    return this.#database.call(async (deadline) => {
      const groups = this.#split(transactions);
      const [only] = groups;
      if (groups.length === 1 && only?.length === transactions.length) {
        return this.#committer.commit(transactions, deadline);
      }
      const outcomes = transactions.map(() => this.#tooLarge());
      for (const group of groups) {
        const results = await this.#commitGroup(group, deadline);
        group.forEach(({ place }, index) => {
          outcomes[place] = results[index] ?? this.#tooLarge();
        });
      }
      return outcomes;
    });
  }

  /** One group's failure must not hide that the group before it was committed. */
  async #commitGroup(group: readonly Placed[], deadline: number): Promise<readonly Outcome[]> {
    try {
      return await this.#committer.commit(
        group.map(({ transaction }) => transaction),
        deadline,
      );
    } catch (error) {
      return group.map(() => ({ outcome: "failed", error: classify(error) }));
    }
  }

  /**
   * A group ends before an import into a key that it deletes: that may be the very life that is deleted,
   * and what is left of it has to be cleared first.
   */
  #split(transactions: readonly Transaction[]): readonly (readonly Placed[])[] {
    const groups: Placed[][] = [];
    const deleted = new Set<Key>();
    let keys = Infinity;
    let chars = 0;
    let bytes = 0;
    transactions.forEach((transaction, place) => {
      if (transaction.puts.some(({ value }) => value.byteLength > this.#valueBytesMax)) return;
      const keyCount = countKeys(transaction);
      const valueBytes = transaction.puts.reduce((sum, { value }) => sum + value.byteLength, 0);
      const keyChars = countChars(transaction);
      const isFull =
        keys + keyCount > KEYS_MAX ||
        chars + keyChars > KEY_CHARS_MAX ||
        bytes + valueBytes > BATCH_BYTES_MAX;
      if (isFull || importsInto(deleted, transaction)) {
        groups.push([]);
        deleted.clear();
        keys = 0;
        chars = 0;
        bytes = 0;
      }
      for (const key of transaction.deletes) deleted.add(key);
      keys += keyCount;
      chars += keyChars;
      bytes += valueBytes;
      groups.at(-1)?.push({ place, transaction });
    });
    return groups;
  }

  get #valueBytesMax(): number {
    return this.#database.options.maxPacketBytes - PACKET_OVERHEAD_BYTES;
  }

  #tooLarge(): Outcome {
    return {
      outcome: "failed",
      error: new StateError(
        "value_too_large",
        `The database takes values of up to ${this.#valueBytesMax} bytes. Nothing was written. ` +
          "Raise its max_allowed_packet to store larger ones.",
      ),
    };
  }
}
