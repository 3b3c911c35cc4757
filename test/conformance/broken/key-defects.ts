import { compareKeys, type Key } from "../../../src/key.ts";
import type {
  EntryInfo,
  HistoryPage,
  KeyInfo,
  KeysPage,
  Outcome,
  Query,
  ReadResult,
  Transaction,
} from "../../../src/store.ts";
import type { Defect } from "./defect.ts";
import { WrappedStore } from "./wrapped-store.ts";

/** Changes every key on its way in, as a collation or a column does. */
class KeyMappingStore extends WrappedStore {
  readonly #map: (key: string) => string;

  constructor(inner: WrappedStore["inner"], map: (key: string) => string) {
    super(inner);
    this.#map = map;
  }

  #key(key: Key): Key {
    return this.#map(key) as Key;
  }

  override read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    return this.inner.read(queries.map((query) => ({ ...query, key: this.#key(query.key) })));
  }

  override commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    const mapped = transactions.map((transaction) => ({
      ...transaction,
      conditions: transaction.conditions.map((one) => ({ ...one, key: this.#key(one.key) })),
      puts: transaction.puts.map((put) => ({ ...put, key: this.#key(put.key) })),
      deletes: transaction.deletes.map((key) => this.#key(key)),
      reads: transaction.reads.map((key) => this.#key(key)),
    }));
    return this.inner.commit(mapped);
  }

  override history(key: Key, page: HistoryPage): Promise<readonly EntryInfo[]> {
    return this.inner.history(this.#key(key), page);
  }
}

function mapsKeys(what: string, map: (key: string) => string, caughtBy = ODD_KEYS): Defect {
  return { what, caughtBy, spoil: (inner) => new KeyMappingStore(inner, map) };
}

const ODD_KEYS = "tells odd keys apart by their bytes";
const KEY_ORDER = "lists odd keys in the order of their UTF-8 bytes";

/** Lists keys in some other way. */
function listsKeys(
  what: string,
  caughtBy: string,
  list: (inner: WrappedStore["inner"], page: KeysPage) => Promise<readonly KeyInfo[]>,
): Defect {
  return {
    what,
    caughtBy,
    spoil: (inner) =>
      new (class extends WrappedStore {
        override keys(page: KeysPage): Promise<readonly KeyInfo[]> {
          return list(inner, page);
        }
      })(inner),
  };
}

/** Everything between two bounds in another order than that of the bytes. */
async function listInOrder(
  inner: WrappedStore["inner"],
  page: KeysPage,
  compare: (a: string, b: string) => number,
): Promise<readonly KeyInfo[]> {
  const all = await inner.keys({ from: "", to: undefined, limit: 1_000_000 });
  const { to } = page;
  return all
    .filter(({ key }) => compare(key, page.from) >= 0 && (to === undefined || compare(key, to) < 0))
    .toSorted((a, b) => compare(a.key, b.key))
    .slice(0, page.limit);
}

const byUnits = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
const collator = new Intl.Collator("en", { sensitivity: "variant" });

export const keyDefects: readonly Defect[] = [
  mapsKeys("takes keys that differ in case for one", (key) => key.toLowerCase()),
  mapsKeys("cuts blanks off the end of a key", (key) => key.trimEnd()),
  mapsKeys("normalizes keys to NFC", (key) => key.normalize("NFC")),
  mapsKeys("loses the code points above U+FFFF of a key", (key) =>
    key.replaceAll(/[\u{10000}-\u{10ffff}]/gu, "\ufffd"),
  ),
  mapsKeys("decodes percent signs in keys", (key) => key.replaceAll("%25", "%")),
  mapsKeys("takes digits for a number", (key) => key.replace(/\/0+(\d)$/, "/$1")),
  mapsKeys(
    "cuts keys off after 255 bytes",
    (key) => key.slice(0, 255),
    "holds keys of 1 byte and of 512, and those that differ in the last byte alone",
  ),
  {
    what: "keeps keys in an object that has keys of its own",
    caughtBy: "takes odd keys whole, with nothing before them, in a store of their own",
    spoil: (inner) =>
      new (class extends WrappedStore {
        override async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
          const results = await inner.read(queries);
          return results.map((result, i) => ((queries[i]?.key ?? "") in {} ? undefined : result));
        }
      })(inner),
  },
  listsKeys("lists keys in the order of their UTF-16 units", KEY_ORDER, (inner, page) =>
    listInOrder(inner, page, byUnits),
  ),
  listsKeys("lists keys in the order of a dictionary", KEY_ORDER, (inner, page) =>
    listInOrder(inner, page, (a, b) => collator.compare(a, b)),
  ),
  listsKeys("lists keys in no order", KEY_ORDER, async (inner, page) =>
    (await inner.keys(page)).toReversed(),
  ),
  listsKeys(
    "ends every list of keys at a thousand",
    "lists past every limit: 2,200 keys in pages of 50 and of 1,000, and all at once",
    (inner, page) => inner.keys({ ...page, limit: Math.min(page.limit, 1000) }),
  ),
  listsKeys(
    "lists the key at the upper bound too",
    "takes bounds that are no keys, and leaves out the upper one",
    async (inner, page) => {
      const upTo = page.to === undefined ? undefined : `${page.to}\0`;
      return inner.keys({ ...page, to: upTo });
    },
  ),
  listsKeys(
    "lists from the first key after the lower bound",
    "takes bounds that are no keys, and leaves out the upper one",
    (inner, page) => inner.keys({ ...page, from: `${page.from}\0` }),
  ),
  listsKeys(
    "takes a missing upper bound for the last character of two bytes",
    "lists without an upper bound to the last key, and from the beginning",
    (inner, page) => inner.keys({ ...page, to: page.to ?? "\uffff" }),
  ),
  listsKeys(
    "lists the first version's metadata",
    "lists keys with the metadata of their latest version",
    async (inner, page) => {
      const infos = await inner.keys(page);
      const queries = infos.map(
        ({ key }) => ({ key, select: { version: 1 }, value: false }) as const,
      );
      const firsts = await inner.read(queries);
      return infos.map((info, i) => ({ ...info, ...(firsts[i] as EntryInfo | undefined) }));
    },
  ),
  {
    what: "skips to the number of keys already listed when it goes on",
    caughtBy: "lists a key that is there all along exactly once while others come and go",
    spoil: (inner) => new OffsetPagingStore(inner),
  },
];

/** Goes on by counting, as OFFSET does: what was deleted meanwhile shifts what follows. */
class OffsetPagingStore extends WrappedStore {
  #next: { readonly from: string; readonly start: string; readonly offset: number } | undefined;

  override async keys(page: KeysPage): Promise<readonly KeyInfo[]> {
    const goesOn = this.#next?.from === page.from ? this.#next : undefined;
    const start = goesOn?.start ?? page.from;
    const offset = goesOn?.offset ?? 0;
    const all = await this.inner.keys({ ...page, from: start, limit: 1_000_000 });
    const found = all
      .toSorted((a, b) => compareKeys(a.key, b.key))
      .slice(offset, offset + page.limit);
    const last = found.at(-1);
    this.#next = last && { from: `${last.key}\0`, start, offset: offset + found.length };
    return found;
  }
}
