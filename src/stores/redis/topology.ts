import { StateError } from "../../errors.ts";
import { classify, toStateError, unanswered } from "./classify.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import {
  askCluster,
  askOnce,
  askSentinels,
  EMPTY_LAYOUT,
  formatAddress,
  singleLayout,
  type Layout,
} from "./layout.ts";
import type { Address } from "./options.ts";

/**
 * A primary, with two connections: what waits for a batch of writes, or for replicas, holds up no
 * read.
 */
export class Node {
  readonly address: Address;
  readonly write: Connection;
  readonly read: Connection;

  constructor(address: Address, options: ConnectionOptions) {
    this.address = address;
    this.write = new Connection(address, options);
    this.read = new Connection(address, options);
  }

  close(): void {
    this.write.close();
    this.read.close();
  }
}

/** For how long a node is kept that serves no slot yet, in milliseconds since it was last named. */
const REDIRECT_KEPT_MS = 10_000;

/** How long one question for the layout may take, and the least time between two. */
const ASK_TIMEOUT_MS = 1000;
const ASK_INTERVAL_MS = 100;

/**
 * Keeps connections to the primary of every slot: of one server, of the one that sentinels name, or
 * of a cluster. The driver's own cluster and sentinel clients are not used: a WAIT has to follow its
 * commit on the very connection that it was sent on, and those clients may send a command again
 * elsewhere, or wait for a node that is gone.
 */
export class Topology {
  readonly #options: ConnectionOptions;
  readonly #nodes = new Map<string, Node>();
  /** By slot, as the layout has it. */
  readonly #nodeOf = new Map<number, Node>();
  /** When nodes were last named as those that slots are on their way to. */
  readonly #redirectedAt = new Map<string, number>();
  readonly #closing = new AbortController();
  #layout: Layout = EMPTY_LAYOUT;
  #asking: Promise<void> | undefined;
  #askedAt = -Infinity;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /**
   * Connects to all primaries; rejects at `deadline`, or at once where credentials are refused. Where
   * others may take over from them it rejects earlier, so that its caller asks anew who they are.
   */
  async connect(deadline: number): Promise<void> {
    await this.#ask(deadline);
    const { redis, store } = this.#options;
    const attemptMs = this.isFixed ? Infinity : redis.connectTimeout + redis.socketTimeout;
    const end = Math.min(deadline, store.clock.monotonic() + attemptMs);
    const connections = this.nodes.flatMap(({ read, write }) => [read, write]);
    await Promise.all(connections.map((connection) => connection.ready(end)));
  }

  /** True where there is one server, whatever becomes of it. */
  get isFixed(): boolean {
    return this.#options.redis.topology === "single";
  }

  /** The primaries as they are known now. */
  get nodes(): readonly Node[] {
    return this.#layout.primaries.map((address) => this.nodeAt(address));
  }

  /** The primary that serves a slot; undefined while nobody does. */
  nodeOf(slot: number): Node | undefined {
    const known = this.#nodeOf.get(slot);
    if (known !== undefined) return known;
    const address = this.#layout.primaryOf(slot);
    if (address === undefined) return undefined;
    const node = this.nodeAt(address);
    this.#nodeOf.set(slot, node);
    return node;
  }

  nodeAt(address: Address): Node {
    const name = formatAddress(address);
    let node = this.#nodes.get(name);
    if (node === undefined) {
      if (this.#isClosed) throw new StateError("store_unavailable", "The store is closed.");
      node = new Node(address, this.#nodeOptions);
      this.#nodes.set(name, node);
    }
    return node;
  }

  /** A node that a slot is on its way to; it may serve none yet. */
  redirectedTo(address: Address): Node {
    this.#redirectedAt.set(formatAddress(address), this.#options.store.clock.monotonic());
    return this.nodeAt(address);
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Sentinels may have named another primary while this one was away; a cluster's nodes know it. */
  get #nodeOptions(): ConnectionOptions {
    if (this.#options.redis.topology !== "sentinel") return this.#options;
    return { ...this.#options, onSession: () => this.refresh() };
  }

  /** Answers when every primary has answered. */
  async ping(): Promise<void> {
    const pings = this.nodes.map(async ({ read }) => {
      if (!read.isReady) throw toStateError(read.refusal, false);
      try {
        await read.ping();
      } catch (error) {
        throw toStateError(classify(error), false);
      }
    });
    if (pings.length === 0) throw unanswered(undefined);
    // Where a primary is gone, this finds the one that took its place.
    await Promise.all(pings).catch((error: unknown) => {
      void this.refresh();
      throw error;
    });
  }

  /** Asks again who serves what, because a node went away or said that it does not; never throws. */
  async refresh(): Promise<void> {
    const { clock, log } = this.#options.store;
    if (this.#isClosed || this.isFixed) return;
    if (this.#asking === undefined && clock.monotonic() - this.#askedAt < ASK_INTERVAL_MS) return;
    try {
      this.#asking ??= this.#ask(clock.monotonic() + ASK_TIMEOUT_MS).finally(() => {
        this.#asking = undefined;
      });
      await this.#asking;
    } catch (error) {
      log.debug({ err: error }, "no Redis node says who serves what");
    }
  }

  async #ask(deadline: number): Promise<void> {
    const layout = await this.#findLayout(deadline);
    this.#askedAt = this.#options.store.clock.monotonic();
    if (this.#isClosed) return;
    this.#layout = layout;
    this.#nodeOf.clear();
    const inUse = new Set(layout.primaries.map(formatAddress));
    for (const [name, node] of this.#nodes) {
      const redirectedMs = this.#askedAt - (this.#redirectedAt.get(name) ?? -Infinity);
      if (inUse.has(name) || redirectedMs < REDIRECT_KEPT_MS) continue;
      this.#nodes.delete(name);
      this.#redirectedAt.delete(name);
      node.close();
    }
    for (const address of layout.primaries) this.nodeAt(address);
  }

  async #findLayout(deadline: number): Promise<Layout> {
    const { redis } = this.#options;
    const until = { deadline, signal: this.#closing.signal };
    if (redis.topology === "sentinel") {
      return askSentinels(this.#options, redis.masterName ?? "", until);
    }
    if (redis.topology === "cluster") {
      return askCluster(
        this.#knownAddresses(),
        async (address, args, signal) => {
          const connection = this.#nodes.get(formatAddress(address))?.read;
          if (connection?.isReady === true) return connection.send(args);
          return askOnce(address, this.#options, args, { deadline, signal });
        },
        until.signal,
      );
    }
    const [address] = redis.addresses;
    return address === undefined ? EMPTY_LAYOUT : singleLayout(address);
  }

  /** Those that are connected come first. */
  #knownAddresses(): readonly Address[] {
    const { primaries, others } = this.#layout;
    const isReady = (address: Address): boolean =>
      this.#nodes.get(formatAddress(address))?.read.isReady === true;
    const all = [
      ...primaries.filter(isReady),
      ...others,
      ...this.#options.redis.addresses,
      ...primaries,
    ];
    return [...new Map(all.map((address) => [formatAddress(address), address])).values()];
  }

  close(): void {
    this.#closing.abort();
    for (const node of this.#nodes.values()) node.close();
    this.#nodes.clear();
    this.#nodeOf.clear();
    this.#layout = EMPTY_LAYOUT;
  }
}
