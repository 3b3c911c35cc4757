import { setTimeout as sleep } from "node:timers/promises";
import { StateError } from "../../errors.ts";
import { classify, toStateError, unanswered } from "./classify.ts";
import { Connection, toList, type ConnectionOptions, type Reply } from "./connection.ts";
import type { Address } from "./options.ts";

/** Which primary serves which slot. A single server serves all. */
export interface Layout {
  readonly primaries: readonly Address[];
  /** Addresses of other nodes that can be asked for the layout. */
  readonly others: readonly Address[];
  /** Answers undefined for a slot that nobody serves. */
  primaryOf(slot: number): Address | undefined;
}

/** For how long a question may be asked. */
interface Until {
  readonly deadline: number;
  readonly signal: AbortSignal;
}

/** After this many milliseconds the next server is asked too. */
const SLOW_ANSWER_MS = 300;

export const EMPTY_LAYOUT: Layout = { primaries: [], others: [], primaryOf: () => undefined };

export function singleLayout(address: Address): Layout {
  return { primaries: [address], others: [], primaryOf: () => address };
}

/** Asks the sentinels where the primary is, and takes the first answer. */
export async function askSentinels(
  options: ConnectionOptions,
  masterName: string,
  { deadline, signal: closing }: Until,
): Promise<Layout> {
  const { redis, store } = options;
  const sentinel: ConnectionOptions = {
    redis: {
      ...redis,
      username: redis.sentinelUsername,
      password: redis.sentinelPassword,
      database: 0,
    },
    store,
  };
  const ask = async (address: Address, signal: AbortSignal): Promise<Layout> => {
    const args = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName];
    const reply = await askOnce(address, sentinel, args, { deadline, signal });
    if (!Array.isArray(reply)) {
      throw new StateError(
        "invalid_parameter",
        "The sentinels know no primary of the name that the store's URL gives.",
        { details: { parameter: "store" } },
      );
    }
    return singleLayout({ host: String(reply[0]), port: Number(reply[1]) });
  };
  return askFirst(redis.addresses, ask, closing);
}

/** Asks the given nodes for the slots, and takes the first answer. */
export async function askCluster(
  addresses: readonly Address[],
  ask: (address: Address, args: readonly string[], signal: AbortSignal) => Promise<Reply>,
  closing: AbortSignal,
): Promise<Layout> {
  return askFirst(
    addresses,
    async (address, signal) =>
      parseSlots(await ask(address, ["CLUSTER", "SLOTS"], signal), address),
    closing,
  );
}

/** CLUSTER SLOTS answers ranges: first slot, last slot, the primary, its replicas. */
function parseSlots(reply: Reply, asked: Address): Layout {
  const primaries = new Map<string, Address>();
  const others = new Map<string, Address>();
  const bySlot: (Address | undefined)[] = [];
  for (const range of toList(reply)) {
    const [first, last, primary, ...replicas] = toList(range);
    const address = parseNode(primary, asked);
    primaries.set(formatAddress(address), address);
    for (const replica of replicas) {
      const other = parseNode(replica, asked);
      others.set(formatAddress(other), other);
    }
    for (let slot = Number(first); slot <= Number(last); slot += 1) bySlot[slot] = address;
  }
  if (primaries.size === 0) {
    throw unanswered(new Error("the cluster serves no slots yet"));
  }
  return {
    primaries: [...primaries.values()],
    others: [...others.values()],
    primaryOf: (slot) => bySlot[slot],
  };
}

/** A node that names no host means the one under which it was asked. */
function parseNode(reply: Reply | undefined, asked: Address): Address {
  const [host, port] = toList(reply);
  const name = host === null || host === undefined ? "" : String(host);
  return { host: name === "" || name === "?" ? asked.host : name, port: Number(port) };
}

export function formatAddress({ host, port }: Address): string {
  return `${host}:${port}`;
}

/** Why a server did not say what it was asked. */
function explain(error: unknown): StateError {
  if (error instanceof StateError) return error;
  const failure = classify(error);
  if (failure.kind !== "refused" || failure.code !== "ERR") return toStateError(failure, false);
  return new StateError(
    "invalid_parameter",
    "This Redis is not what the store's URL says. A single server's begins with redis://, a " +
      "cluster's with redis-cluster://, and redis-sentinel:// names sentinels.",
    { cause: error, details: { parameter: "store" } },
  );
}

/** Asks a server on a connection that is made for it, and ends with the signal. */
export async function askOnce(
  address: Address,
  options: ConnectionOptions,
  args: readonly string[],
  { deadline, signal }: Until,
): Promise<Reply> {
  const connection = new Connection(address, options);
  const close = (): void => connection.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    if (signal.aborted) close();
    await connection.ready(deadline);
    return await connection.send(args);
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
}

/**
 * Asks one after the other, the next as soon as the one before has failed or is slow. Those that have
 * not answered when another has are let go.
 */
async function askFirst(
  addresses: readonly Address[],
  ask: (address: Address, signal: AbortSignal) => Promise<Layout>,
  closing: AbortSignal,
): Promise<Layout> {
  const answers: Promise<Layout>[] = [];
  const over = new AbortController();
  const signal = AbortSignal.any([closing, over.signal]);
  try {
    for (const address of addresses) {
      const answer = ask(address, signal);
      answers.push(answer);
      const slow = sleep(SLOW_ANSWER_MS, false, { ref: false });
      const isAnswered = await Promise.race([answer.then(Boolean, () => false), slow]);
      if (isAnswered) return await answer;
    }
    return await Promise.any(answers);
  } catch (error) {
    // All have failed. One error can be told: that of the first address.
    throw explain(error instanceof AggregateError ? error.errors[0] : error);
  } finally {
    over.abort();
  }
}
