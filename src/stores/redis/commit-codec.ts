import type { Key } from "../../key.ts";
import type {
  Committed,
  Condition,
  Entry,
  EntryRef,
  Outcome,
  Put,
  Transaction,
  Unmet,
} from "../../store.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { COMMIT_SCRIPT } from "./commit-script.ts";
import { toList, type Reply } from "./connection.ts";
import { isLarge, readItem, toBuffer, writeEntry, type Elements } from "./entry-codec.ts";
import type { PartitionNames } from "./schema.ts";
import type { Script } from "./scripts.ts";

const LARGE = 1;
const IMPORTED = 2;

/** A change of the feed that is a put; a delete is 1. */
export const CHANGE_PUT = 0;

/** The index that stands for "an imported put" where a condition's would stand. */
const CONDITION_IMPORT = 65_535;

/** No version gets that high, so a condition on any higher one is as unmet as one on this. */
const U48_MAX = 2 ** 48 - 1;

const CONDITION_KINDS = { absent: 0, present: 1, version: 2, entry: 3, "not-entry": 4 } as const;

/** The commit of one writer: which writer, and the number under which it may be sent again. */
export interface CommitId {
  readonly writer: string;
  readonly number: number;
}

/** What a script that commits is called with. */
export interface CommitCall {
  readonly script: Script;
  readonly keys: readonly string[];
  readonly args: readonly Buffer[];
  /** Decodes its reply: the outcomes in the order of the transactions. */
  readonly decode: (reply: Reply) => readonly Outcome[];
}

/** Encodes transactions of one partition for the commit script, in the order given. */
export function encodeCommit(
  transactions: readonly Transaction[],
  names: PartitionNames,
  id: CommitId,
  now: number,
): CommitCall {
  const requests = collectRequests(transactions);
  const indexes = new Map<string, number>();
  const keys = [names.meta, names.index, names.feed, names.writer + id.writer];
  for (const request of requests) indexes.set(request, keys.push(names.request + request));
  const plan = new PlanWriter(names, keys, now);
  const { writer } = plan;
  writer.u48(now);
  writer.u48(id.number);
  writer.u16(requests.size);
  writer.u16(transactions.length);
  for (const transaction of transactions) {
    const { request } = transaction;
    plan.writeTransaction(transaction, request === undefined ? 0 : (indexes.get(request.id) ?? 0));
  }
  const decode = (reply: Reply): readonly Outcome[] => decodeCommit(reply, transactions);
  return { script: COMMIT_SCRIPT, keys, args: [writer.finish(), ...plan.large], decode };
}

function collectRequests(transactions: readonly Transaction[]): ReadonlySet<string> {
  const ids = new Set<string>();
  for (const { request } of transactions) if (request !== undefined) ids.add(request.id);
  return ids;
}

class PlanWriter {
  readonly writer = new ByteWriter(16 * 1024);
  readonly large: Buffer[] = [];
  readonly #names: PartitionNames;
  readonly #keys: string[];
  readonly #now: number;
  readonly #indexes = new Map<Key, number>();

  constructor(names: PartitionNames, keys: string[], now: number) {
    this.#names = names;
    this.#keys = keys;
    this.#now = now;
  }

  writeTransaction(transaction: Transaction, request: number): void {
    const { writer } = this;
    const { conditions, puts, deletes, reads } = transaction;
    writer.u16(conditions.length);
    writer.u16(puts.length);
    writer.u16(deletes.length);
    writer.u16(reads.length);
    writer.u16(request);
    writer.shortText(transaction.incarnation);
    if (transaction.request !== undefined) writer.latin1(transaction.request.fingerprint);
    for (const condition of conditions) this.#writeCondition(condition);
    for (const put of puts) this.#writePut(put);
    for (const key of deletes) this.#writeKey(key);
    for (const key of reads) this.#writeKey(key);
  }

  /** Writes a key as its index into KEYS, which Lua counts from 1. */
  #writeKey(key: Key): void {
    let index = this.#indexes.get(key);
    if (index === undefined) {
      index = this.#keys.push(this.#names.key + key);
      this.#indexes.set(key, index);
    }
    this.writer.u16(index);
  }

  #writeCondition(condition: Condition): void {
    const { writer } = this;
    writer.u8(CONDITION_KINDS[condition.kind]);
    this.#writeKey(condition.key);
    if (condition.kind === "version") writer.u48(Math.min(condition.version, U48_MAX));
    if (condition.kind === "entry" || condition.kind === "not-entry") {
      writer.u48(condition.entries.length);
      for (const { incarnation, version } of condition.entries) {
        writer.shortText(incarnation);
        writer.u48(Math.min(version, U48_MAX));
      }
    }
  }

  #writePut(put: Put): void {
    const { writer } = this;
    const { imported, value } = put;
    const large = isLarge(value);
    this.#writeKey(put.key);
    writer.u8((large ? LARGE : 0) | (imported === undefined ? 0 : IMPORTED));
    const lengthAt = writer.length;
    writer.u32(0);
    writer.u8(CHANGE_PUT);
    writer.text(put.key);
    const start = writer.length;
    writer.u48(this.#now);
    writeEntry(writer, put);
    writer.setU32(writer.length - start, lengthAt);
    if (large) this.large.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    if (imported !== undefined) {
      writer.shortText(imported.incarnation);
      writer.u48(imported.version);
      writer.u48(imported.createdAt);
    }
  }
}

/** Decodes the commit script's reply: the outcomes in order, then the entries that were read. */
function decodeCommit(reply: Reply, transactions: readonly Transaction[]): readonly Outcome[] {
  const elements = toList(reply).values();
  const outcomes = new ByteReader(toBuffer(elements.next().value));
  return transactions.map((transaction) => readOutcome(outcomes, transaction, elements));
}

function readOutcome(reader: ByteReader, transaction: Transaction, reads: Elements): Outcome {
  const letter = String.fromCharCode(reader.u8());
  switch (letter) {
    case "C":
      return readCommitted(reader, transaction, { replayed: false, reads });
    case "R":
      return readCommitted(reader, transaction, { replayed: true, reads });
    case "X":
      return { outcome: "conflict", unmet: readUnmet(reader, transaction) };
    case "U":
      return { outcome: "request-reused" };
    default:
      throw new Error(`The commit script answered an unknown outcome "${letter}".`);
  }
}

function readCommitted(
  reader: ByteReader,
  transaction: Transaction,
  { replayed, reads }: { readonly replayed: boolean; readonly reads: Elements },
): Committed {
  const puts = transaction.puts.map(() => {
    const version = reader.u48();
    const createdAt = reader.u48();
    return { incarnation: reader.text(reader.u8()), version, createdAt };
  });
  const deletes = transaction.deletes.map(() => ({ versions: reader.u48() }));
  const found = transaction.reads.map(() => readWhole(reads));
  return { outcome: "committed", replayed, puts, deletes, reads: found };
}

/** An entry with its value; a large one comes behind the entry. */
function readWhole(reads: Elements): Entry | undefined {
  const entry = readItem(reads, { select: "latest", value: true });
  if (entry === undefined || entry === "trimmed") return undefined;
  return { ...entry, value: entry.value ?? toBuffer(reads.next().value) };
}

function readUnmet(reader: ByteReader, transaction: Transaction): readonly Unmet[] {
  const { conditions, puts } = transaction;
  return Array.from({ length: reader.u16() }, () => {
    const index = reader.u16();
    const put = reader.u16();
    const current = readCurrent(reader);
    const isImport = index === CONDITION_IMPORT;
    const key = isImport ? puts[put]?.key : conditions[index]?.key;
    if (key === undefined)
      throw new Error("The commit script named a condition that is not there.");
    return { condition: isImport ? -1 : index, key, current };
  });
}

function readCurrent(reader: ByteReader): EntryRef | undefined {
  if (reader.u8() === 0) return undefined;
  const version = reader.u48();
  return { incarnation: reader.text(reader.u8()), version };
}
