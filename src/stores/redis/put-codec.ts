import type { Key } from "../../key.ts";
import type { Outcome, Put, Transaction } from "../../store.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { CHANGE_PUT, type CommitCall, type CommitId } from "./commit-codec.ts";
import type { Reply } from "./connection.ts";
import { isLarge, toBuffer, writeEntry } from "./entry-codec.ts";
import { PUT_SCRIPT } from "./put-script.ts";
import type { PartitionNames } from "./schema.ts";

/** What a put takes in a plan beside its key, its value and its texts. */
const PUT_OVERHEAD_BYTES = 128;
const PLAN_HEADER_BYTES = 14;

/** Whether each of some transactions is one put, without anything else, that the put script makes. */
export function areAllPuts(transactions: readonly Transaction[]): boolean {
  return transactions.every(isPlainPut);
}

function isPlainPut({ request, conditions, puts, deletes, reads }: Transaction): boolean {
  const [put] = puts;
  return (
    put !== undefined &&
    puts.length === 1 &&
    request === undefined &&
    conditions.length + deletes.length + reads.length === 0 &&
    put.imported === undefined &&
    !isLarge(put.value)
  );
}

/** A put, its place in the batch, and the incarnation of its key where it creates it. */
interface PlacedPut {
  readonly put: Put;
  readonly place: number;
  readonly incarnation: string;
}

/** Encodes such transactions for the put script: key by key, and of each the puts in order. */
export function encodePuts(
  transactions: readonly Transaction[],
  names: PartitionNames,
  id: CommitId,
  now: number,
): CommitCall {
  const keys = [names.meta, names.index, names.feed, names.writer + id.writer];
  const writer = new ByteWriter(estimate(transactions));
  writer.u48(now);
  writer.u48(id.number);
  writer.u16(transactions.length);
  for (const [key, puts] of groupByKey(transactions)) {
    keys.push(names.key + key);
    writeEvent(writer, key);
    writer.shortText(puts[0]?.incarnation ?? "");
    writer.u16(puts.length);
    for (const { put, place } of puts) {
      writer.u16(2 * place + 2);
      const start = writer.length;
      writer.u32(0);
      writer.u48(now);
      writeEntry(writer, put);
      writer.setU32(writer.length - start - 4, start);
    }
  }
  const decode = (reply: Reply): readonly Outcome[] => decodePuts(reply, transactions.length);
  return { script: PUT_SCRIPT, keys, args: [writer.finish()], decode };
}

function groupByKey(transactions: readonly Transaction[]): ReadonlyMap<Key, readonly PlacedPut[]> {
  const groups = new Map<Key, PlacedPut[]>();
  transactions.forEach(({ puts, incarnation }, place) => {
    for (const put of puts) {
      const placed = { put, place, incarnation };
      const group = groups.get(put.key);
      if (group === undefined) groups.set(put.key, [placed]);
      else group.push(placed);
    }
  });
  return groups;
}

function estimate(transactions: readonly Transaction[]): number {
  let bytes = PLAN_HEADER_BYTES;
  for (const { puts } of transactions) {
    for (const { key, value } of puts) bytes += PUT_OVERHEAD_BYTES + key.length + value.length;
  }
  return bytes;
}

/** What the feed is to tell of a put, as far as it is known here, behind its length. */
function writeEvent(writer: ByteWriter, key: Key): void {
  const start = writer.length;
  writer.u16(0);
  writer.u8(CHANGE_PUT);
  writer.text(key);
  writer.setU16(writer.length - start - 2, start);
}

/** Decodes what the put script told the feed. */
function decodePuts(reply: Reply, count: number): readonly Outcome[] {
  const reader = new ByteReader(toBuffer(reply));
  reader.skip(10);
  return Array.from({ length: count }, () => {
    reader.skip(1);
    reader.skip(reader.u16());
    const version = reader.u48();
    const createdAt = reader.u48();
    const put = { incarnation: reader.text(reader.u8()), version, createdAt };
    return { outcome: "committed", replayed: false, puts: [put], deletes: [], reads: [] };
  });
}
