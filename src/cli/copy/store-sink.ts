import { StateError } from "../../errors.ts";
import type { Key } from "../../key.ts";
import type { Entry, Outcome, ReadResult, Store, Transaction } from "../../store.ts";
import { Gatherer } from "./batches.ts";
import type { Patience } from "./patience.ts";
import { digestOf } from "./store-source.ts";
import type { Sink, SourceEntry, SourceKey, Wanted } from "./source.ts";

export interface StoreSinkOptions {
  readonly patience: Patience;
  /** Whether keys that hold something else are settled: the newer one is kept. */
  readonly intoExisting: boolean;
  /** Whether the target held no key at the start, so that it need not be asked about each. */
  readonly isEmpty: boolean;
  readonly onWritten: (entries: readonly SourceEntry[]) => void;
  /** Called with a number of versions that need not be written, as the target has them. */
  readonly onPresent: (versions: number) => void;
  /** Called for each key that the target held otherwise, with what was done about it. */
  readonly onConflict: (key: Key, what: string) => void;
  /** Called for each key that is not copied, or not to its end, because somebody writes to it. */
  readonly onLeftOut: (key: Key, what: string) => void;
}

type Head = Exclude<ReadResult, "trimmed" | undefined>;

/** Writes versions into a store as they were elsewhere, and reads each back. */
export class StoreSink implements Sink {
  readonly #store: Store;
  readonly #options: StoreSinkOptions;
  readonly #gatherer = new Gatherer<SourceEntry>();
  /** Keys whose further versions are not written. */
  readonly #settled = new Set<Key>();
  /** Incarnations of the keys at hand, as they are copied. */
  #wanted = new Map<Key, string>();
  /** What the target has of those of them that it has a part of. */
  #heads = new Map<Key, Head>();
  /** Keys that the target holds otherwise, and what is said of it, unless the source withdraws them. */
  readonly #doubts = new Map<Key, string>();
  #writing: Promise<void> = Promise.resolve();

  constructor(store: Store, options: StoreSinkOptions) {
    this.#store = store;
    this.#options = options;
  }

  async begin(keys: readonly SourceKey[]): Promise<readonly Wanted[]> {
    this.#settleDoubts();
    this.#wanted = new Map(keys.map(({ key, incarnation }) => [key, incarnation]));
    this.#heads = new Map();
    if (this.#options.isEmpty) return keys.map((info) => ({ info, after: 0 }));
    const heads = await this.#readHeads(keys.map(({ key }) => key));
    const wanted: Wanted[] = [];
    for (const [index, info] of keys.entries()) {
      const after = await this.#startOf(info, heads[index]);
      if (after !== undefined) wanted.push({ info, after });
    }
    return wanted;
  }

  async write(entries: readonly SourceEntry[]): Promise<void> {
    if (entries.length > 0) this.#settleDoubts();
    for (const entry of entries) {
      if (this.#settled.has(entry.key) || (await this.#isThere(entry))) continue;
      const full = this.#gatherer.add(entry);
      if (full !== undefined) await this.#writeNext(full);
    }
  }

  async withdraw(key: Key): Promise<void> {
    await this.#flush();
    if (this.#doubts.delete(key) || this.#settled.has(key)) return;
    const [head] = await this.#readHeads([key]);
    // Another incarnation is someone else's.
    const isOwn = head !== undefined && head.incarnation === this.#wanted.get(key);
    if (isOwn) await this.#delete(key, head);
  }

  abandon(key: Key): void {
    this.#options.onLeftOut(key, "kept changing in the source; it was left out");
  }

  async end(): Promise<void> {
    this.#settleDoubts();
    await this.#flush();
  }

  /** The last version that the target has of a key; undefined where nothing is to be copied. */
  async #startOf(info: SourceKey, head: Head | undefined): Promise<number | undefined> {
    if (head === undefined) return 0;
    if (head.incarnation === info.incarnation) {
      if (head.version > info.version) return this.#keep(info.key, head, info);
      const isSame = head.digest === info.digest && head.createdAt === info.createdAt;
      if (head.version === info.version && isSame) {
        this.#options.onPresent(info.version);
        return undefined;
      }
      if (head.version < info.version) {
        this.#options.onPresent(head.version);
        this.#heads.set(info.key, head);
        // The version that both have is asked for again, to see that it is the same.
        return head.version - 1;
      }
    }
    if (head.createdAt >= info.createdAt) return this.#keep(info.key, head, info);
    this.#refuseUnlessAllowed(info.key);
    await this.#delete(info.key, head);
    this.#options.onConflict(
      info.key,
      `the target's version ${head.version} was older; the source's history replaced it`,
    );
    return 0;
  }

  /**
   * Nothing is copied of such a key; but it is read, as an export may withdraw what it has begun with
   * and tell the key's later history further on, which an earlier run may have copied.
   */
  #keep(key: Key, head: Head, info: SourceKey): number {
    const what = `version ${head.version} is newer than the source's ${info.version} and was kept`;
    this.#doubts.set(key, `the target's ${what}`);
    return info.version;
  }

  #settleDoubts(): void {
    for (const [key, what] of this.#doubts) {
      this.#refuseUnlessAllowed(key);
      this.#options.onConflict(key, what);
    }
    this.#doubts.clear();
  }

  #refuseUnlessAllowed(key: Key): void {
    if (this.#options.intoExisting) return;
    throw new StateError(
      "invalid_parameter",
      `The target holds something else under the key "${key}". Choose an empty one, or keep what is ` +
        "newer of each key with --into-existing.",
    );
  }

  /** Whether the target needs no more of this version; settles a key whose histories differ. */
  async #isThere(entry: SourceEntry): Promise<boolean> {
    const { key, version } = entry;
    const head = this.#heads.get(key);
    if (head === undefined) return false;
    if (version < head.version) return true;
    // Looked at once: what follows it can only be new.
    this.#heads.delete(key);
    if (version > head.version) {
      if (version > head.version + 1) await this.#startOver(entry, head);
      return this.#settled.has(key);
    }
    // The same value may have been put on both sides, at different times.
    if (entry.digest === head.digest && entry.createdAt === head.createdAt) return true;
    this.#refuseUnlessAllowed(key);
    this.#settle(key, `version ${version} differs; the target's history was kept`);
    return true;
  }

  /** The source no longer has what would follow the target's earlier copy of a key. */
  async #startOver({ key, version, createdAt }: SourceEntry, head: Head): Promise<void> {
    if (head.createdAt <= createdAt) return this.#delete(key, head);
    this.#refuseUnlessAllowed(key);
    this.#settle(key, `it is newer than the source's version ${version}; it was kept`);
  }

  #settle(key: Key, what: string): void {
    this.#settled.add(key);
    this.#options.onConflict(key, what);
  }

  async #readHeads(keys: readonly Key[]): Promise<readonly (Head | undefined)[]> {
    const found = await this.#options.patience.with(async () =>
      this.#store.read(keys.map((key) => ({ key, select: "latest", value: false }))),
    );
    // The latest version is never trimmed.
    return found.map((entry) => (entry === "trimmed" ? undefined : entry));
  }

  async #delete(key: Key, head: Head): Promise<void> {
    const transaction: Transaction = {
      request: undefined,
      incarnation: head.incarnation,
      conditions: [{ kind: "entry", key, entries: [head] }],
      puts: [],
      deletes: [key],
      reads: [],
    };
    await this.#options.patience.with(async () => {
      const [outcome] = await this.#store.commit([transaction]);
      if (outcome?.outcome === "failed") throw outcome.error;
    });
  }

  /** Writes while the next batch is read, one batch at a time. */
  async #writeNext(entries: readonly SourceEntry[]): Promise<void> {
    await this.#writing;
    this.#writing = this.#writeAndVerify(entries);
    // Whoever awaits it next sees the failure; until then it is not unhandled.
    this.#writing.catch(() => {});
  }

  async #flush(): Promise<void> {
    const rest = this.#gatherer.take();
    if (rest.length > 0) await this.#writeNext(rest);
    await this.#writing;
  }

  async #writeAndVerify(entries: readonly SourceEntry[]): Promise<void> {
    await this.#options.patience.with(async () => this.#commit(entries));
    const written = entries.filter(({ key }) => !this.#settled.has(key));
    const found = await this.#options.patience.with(async () =>
      this.#store.read(
        written.map(({ key, version }) => ({ key, select: { version }, value: true })),
      ),
    );
    for (const [index, entry] of written.entries()) assertEqual(entry, found[index]);
    this.#options.onWritten(written);
  }

  /** May be repeated after an unknown outcome: what is there already is left out. */
  async #commit(entries: readonly SourceEntry[]): Promise<void> {
    const outcomes = await this.#store.commit(entries.map(toTransaction));
    const failed = outcomes.find((outcome) => outcome.outcome === "failed");
    // Before the conflicts: what follows a version that failed conflicts only for that reason.
    if (failed?.outcome === "failed") throw failed.error;
    const conflicts = entries.filter((_, index) => outcomes[index]?.outcome === "conflict");
    for (const key of new Set(conflicts.map(({ key: one }) => one))) {
      await this.#settleUnlessWritten(key, conflicts);
    }
    assertKnown(outcomes);
  }

  /** A conflict may be this copy's own write, whose answer was lost. */
  async #settleUnlessWritten(key: Key, conflicts: readonly SourceEntry[]): Promise<void> {
    const mine = conflicts.filter((entry) => entry.key === key);
    const [head] = await this.#readHeads([key]);
    const last = mine.at(-1);
    const isWritten =
      last !== undefined && head?.incarnation === last.incarnation && head.version >= last.version;
    if (isWritten) return;
    this.#settled.add(key);
    this.#options.onLeftOut(key, "someone else wrote it in the target meanwhile; left alone");
  }
}

function toTransaction(entry: SourceEntry): Transaction {
  const { key, value, digest, contentType, author, message } = entry;
  const { incarnation, version, createdAt } = entry;
  const imported = { incarnation, version, createdAt };
  return {
    request: undefined,
    incarnation,
    conditions: [],
    puts: [{ key, value, digest, contentType, author, message, imported }],
    deletes: [],
    reads: [],
  };
}

function assertKnown(outcomes: readonly Outcome[]): void {
  const odd = outcomes.find(({ outcome }) => outcome !== "committed" && outcome !== "conflict");
  if (odd !== undefined) throw new StateError("internal", `The target answered "${odd.outcome}".`);
}

/** Holds what the target now has against what was copied. */
function assertEqual(entry: SourceEntry, found: ReadResult): void {
  const isEqual =
    found !== undefined &&
    found !== "trimmed" &&
    ATTRIBUTES.every((name) => found[name] === entry[name]) &&
    found.value !== undefined &&
    digestOf(found.value) === entry.digest;
  if (isEqual) return;
  throw new StateError(
    "internal",
    `Version ${entry.version} of the key "${entry.key}" is not in the target as it was copied.`,
  );
}

const ATTRIBUTES = [
  "incarnation",
  "version",
  "createdAt",
  "digest",
  "size",
  "contentType",
  "author",
  "message",
] as const satisfies readonly (keyof Entry)[];
