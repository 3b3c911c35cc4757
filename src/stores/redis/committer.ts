import { randomBytes } from "node:crypto";
import { StateError } from "../../errors.ts";
import { COMMIT_RESEND_MS_MAX } from "../../limits.ts";
import type { Outcome, Transaction } from "../../store.ts";
import type { Clock } from "../../telemetry/clock.ts";
import { keysOf } from "../shared/plan.ts";
import { encodeCommit } from "./commit-codec.ts";
import type { Connection, Reply } from "./connection.ts";
import { sendScript, withScript, type Executor, type ScriptCall } from "./executor.ts";
import { areAllPuts, encodePuts } from "./put-codec.ts";
import type { Replicas } from "./replicas.ts";
import { partitionOf, type Partition } from "./schema.ts";

/** Writes and reads in one script: about 5 ms of Redis's time. A single transaction may hold more. */
const SCRIPT_ITEMS_MAX = 1024;

export interface CommitterOptions {
  readonly executor: Executor;
  readonly partitions: readonly Partition[];
  readonly replicas: Replicas;
  readonly clock: Clock;
}

/** Transactions of one partition, and where each stood in the batch. */
interface Group {
  readonly partition: Partition;
  readonly transactions: Transaction[];
  readonly places: number[];
}

/** Who sends a commit, and until when. */
interface Sending {
  readonly writer: string;
  readonly deadline: number;
}

/**
 * Commits batches: one script per partition that a batch touches. Each script is sent under a writer
 * and a number, which it stores with what it writes, so that after a lost answer it can be sent again
 * and takes effect once.
 */
export class Committer {
  readonly #options: CommitterOptions;
  readonly #session = randomBytes(9).toString("base64url");
  /** A writer has one commit under way at a time in each partition. */
  readonly #idleWriters: string[] = [];
  #writerCount = 0;
  #lastNumber = 0;

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  async commit(
    transactions: readonly Transaction[],
    deadline: number,
  ): Promise<readonly Outcome[]> {
    const { partitions } = this.#options;
    const writer = this.#takeWriter();
    try {
      const [only] = partitions;
      if (partitions.length === 1 && only !== undefined) {
        return await this.#commitTo(only, transactions, { writer, deadline });
      }
      return await this.#commitGroups(transactions, { writer, deadline });
    } finally {
      this.#idleWriters.push(writer);
    }
  }

  #takeWriter(): string {
    const idle = this.#idleWriters.pop();
    if (idle !== undefined) return idle;
    this.#writerCount += 1;
    return `${this.#session}.${this.#writerCount}`;
  }

  /** One partition's failure is the failure of its own transactions alone. */
  async #commitGroups(
    transactions: readonly Transaction[],
    sending: Sending,
  ): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = transactions.map(() => ({ outcome: "unsupported" }));
    const groups = this.#group(transactions);
    await Promise.all(
      groups.map(async (group) => {
        const found = await this.#commitTo(group.partition, group.transactions, sending).catch(
          (error: unknown) => failAll(error, group.transactions),
        );
        found.forEach((outcome, index) => {
          const place = group.places[index];
          if (place !== undefined) outcomes[place] = outcome;
        });
      }),
    );
    return outcomes;
  }

  /** Leaves out the transactions whose keys lie in several partitions. */
  #group(transactions: readonly Transaction[]): readonly Group[] {
    const groups = new Map<number, Group>();
    transactions.forEach((transaction, place) => {
      const index = this.#partitionIndex(transaction);
      const partition = index === undefined ? undefined : this.#options.partitions[index];
      if (index === undefined || partition === undefined) return;
      let group = groups.get(index);
      if (group === undefined) {
        group = { partition, transactions: [], places: [] };
        groups.set(index, group);
      }
      group.transactions.push(transaction);
      group.places.push(place);
    });
    return [...groups.values()];
  }

  #partitionIndex(transaction: Transaction): number | undefined {
    const count = this.#options.partitions.length;
    const [first, ...others] = keysOf(transaction);
    if (first === undefined) return 0;
    const index = partitionOf(first, count);
    return others.every((key) => partitionOf(key, count) === index) ? index : undefined;
  }

  async #commitTo(
    partition: Partition,
    transactions: readonly Transaction[],
    sending: Sending,
  ): Promise<readonly Outcome[]> {
    const [first, ...others] = splitByItems(transactions);
    if (first === undefined) return [];
    const outcomes = await this.#commitScript(partition, first, sending);
    if (others.length === 0) return outcomes;
    const all = [...outcomes];
    for (const part of others) {
      // What was committed before stays so, whatever becomes of the rest.
      const more = await this.#commitScript(partition, part, sending).catch((error: unknown) =>
        failAll(error, part),
      );
      all.push(...more);
    }
    return all;
  }

  async #commitScript(
    { slot, names }: Partition,
    transactions: readonly Transaction[],
    { writer, ...sending }: Sending,
  ): Promise<readonly Outcome[]> {
    const { executor, clock } = this.#options;
    const deadline = Math.min(sending.deadline, clock.monotonic() + COMMIT_RESEND_MS_MAX);
    this.#lastNumber += 1;
    const id = { writer, number: this.#lastNumber };
    const encode = areAllPuts(transactions) ? encodePuts : encodeCommit;
    const call = encode(transactions, names, id, clock.now());
    const reply = await executor.run({
      slot,
      kind: "write",
      deadline,
      attempt: (connection, isRedirected) =>
        withScript(connection, call.script, () =>
          this.#send(connection, call, { isRedirected, deadline }),
        ),
    });
    return call.decode(reply);
  }

  async #send(
    connection: Connection,
    call: ScriptCall,
    { isRedirected, deadline }: { readonly isRedirected: boolean; readonly deadline: number },
  ): Promise<Reply> {
    const sent = sendScript(connection, call, isRedirected);
    // Asked for in the same turn, so that the scripts of one node share one WAIT.
    const confirmed = this.#options.replicas.confirm(connection, deadline);
    if (confirmed === undefined) return sent;
    const [reply] = await Promise.all([sent, confirmed]);
    return reply;
  }
}

function splitByItems(transactions: readonly Transaction[]): readonly (readonly Transaction[])[] {
  const parts: Transaction[][] = [];
  let items = SCRIPT_ITEMS_MAX;
  for (const transaction of transactions) {
    const { conditions, puts, deletes, reads } = transaction;
    const own = conditions.length + puts.length + deletes.length + reads.length;
    const part = parts.at(-1);
    if (part === undefined || items + own > SCRIPT_ITEMS_MAX) {
      parts.push([transaction]);
      items = own;
    } else {
      part.push(transaction);
      items += own;
    }
  }
  return parts;
}

function failAll(error: unknown, transactions: readonly Transaction[]): readonly Outcome[] {
  if (!(error instanceof StateError)) throw error;
  return transactions.map(() => ({ outcome: "failed", error }));
}
