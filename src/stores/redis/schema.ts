import { hashKey, type Key } from "../../key.ts";

/**
 * How a state lies in Redis. `{prefix.p}` is the hash tag of partition p, so all of a partition is in
 * one slot of a cluster and one script can change it.
 *
 * - `{prefix}setup`: schema version and partition count, written once
 * - `{prefix.p}h:KEY`: a key: a hash with `h` (head), `1`, `2`, … (entries), `v1`, … (large values)
 * - `{prefix.p}i`: the partition's keys, a sorted set in byte order
 * - `{prefix.p}f`: the partition's feed, a stream
 * - `{prefix.p}m`: a hash with `s` (the feed's last number) and `t` (the last number trimmed)
 * - `{prefix.p}q:ID`: the outcome of a client's request id
 * - `{prefix.p}c:WRITER`: the last commit of one writer, so that it can be sent again safely
 */
export interface PartitionNames {
  readonly meta: string;
  readonly index: string;
  readonly feed: string;
  /** What the name of a key's hash begins with. */
  readonly key: string;
  readonly request: string;
  readonly writer: string;
}

/** A partition, and the slot of a cluster that it lies in. */
export interface Partition {
  readonly slot: number;
  readonly names: PartitionNames;
}

export const SCHEMA_VERSION = 1;

/** Partitions of a new state: one where a single server runs every script, so that a batch is one. */
export const PARTITIONS_SINGLE = 1;
/** Enough for a cluster of many masters; a batch is one script per partition that it touches. */
export const PARTITIONS_CLUSTER = 64;

export function setupName(prefix: string): string {
  return `{${prefix}}setup`;
}

export function partitionNames(prefix: string, partition: number): PartitionNames {
  const base = `{${prefix}.${partition}}`;
  return {
    meta: `${base}m`,
    index: `${base}i`,
    feed: `${base}f`,
    key: `${base}h:`,
    request: `${base}q:`,
    writer: `${base}c:`,
  };
}

export function partitionOf(key: Key, partitions: number): number {
  return partitions === 1 ? 0 : hashKey(key) % partitions;
}

/** What is recorded at the first set-up. */
export interface Setup {
  readonly schema: number;
  readonly partitions: number;
}

export function formatSetup({ schema, partitions }: Setup): string {
  return `schema=${schema} partitions=${partitions}`;
}

/** Undefined where this is not one of ours. */
export function parseSetup(text: string): Setup | undefined {
  const match = /^schema=(\d+)(?: partitions=(\d+))?/.exec(text);
  if (match === null) return undefined;
  return { schema: Number(match[1]), partitions: Number(match[2] ?? 0) };
}
