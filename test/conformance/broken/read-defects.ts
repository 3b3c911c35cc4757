import type { Key } from "../../../src/key.ts";
import type {
  EntryInfo,
  HistoryPage,
  Outcome,
  Put,
  Query,
  ReadResult,
  Store,
  StoredEntry,
  Transaction,
} from "../../../src/store.ts";
import type { Defect } from "./defect.ts";
import { WrappedStore } from "./wrapped-store.ts";

type Read = (inner: Store, queries: readonly Query[]) => Promise<readonly ReadResult[]>;
type History = (inner: Store, key: Key, page: HistoryPage) => Promise<readonly EntryInfo[]>;

function reads(what: string, caughtBy: string, read: Read): Defect {
  return {
    what,
    caughtBy,
    spoil: (inner) =>
      new (class extends WrappedStore {
        override read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
          return read(inner, queries);
        }
      })(inner),
  };
}

function lists(what: string, caughtBy: string, list: History): Defect {
  return {
    what,
    caughtBy,
    spoil: (inner) =>
      new (class extends WrappedStore {
        override history(key: Key, page: HistoryPage): Promise<readonly EntryInfo[]> {
          return list(inner, key, page);
        }
      })(inner),
  };
}

/** Stores something else than what a put says. */
function stores(what: string, caughtBy: string, change: (put: Put) => Put): Defect {
  return {
    what,
    caughtBy,
    spoil: (inner) =>
      new (class extends WrappedStore {
        override commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
          return inner.commit(transactions.map((one) => ({ ...one, puts: one.puts.map(change) })));
        }
      })(inner),
  };
}

/** Changes each query before it is asked. */
const changingQueries =
  (change: (query: Query) => Query): Read =>
  (inner, queries) =>
    inner.read(queries.map(change));

/** Changes each entry that is found. */
const changingEntries =
  (change: (entry: StoredEntry) => ReadResult): Read =>
  async (inner, queries) =>
    (await inner.read(queries)).map((result) =>
      result === undefined || result === "trimmed" ? result : change(result),
    );

const text = new TextDecoder();
const bytes = new TextEncoder();
const ODD_VALUES = "returns every byte of odd values, by each way of reading";
const PAGING = "pages through 2,100 versions in both orders, past every limit";
const START = "starts a page of a history where it is told to";

export const readDefects: readonly Defect[] = [
  stores("passes values through a string", ODD_VALUES, (put) => ({
    ...put,
    value: bytes.encode(text.decode(put.value)),
  })),
  stores("ends values at the first zero byte", ODD_VALUES, (put) => {
    const end = put.value.indexOf(0);
    return end === -1 ? put : { ...put, value: put.value.slice(0, end) };
  }),
  reads(
    "takes an empty value for none",
    ODD_VALUES,
    changingEntries((entry) => (entry.size === 0 ? undefined : entry)),
  ),
  stores(
    "cuts values off at 64 KiB",
    "holds a value of 1 MiB in each of several versions",
    (put) => ({ ...put, value: put.value.subarray(0, 65_536) }),
  ),
  stores(
    "cuts values off at 8 MiB",
    "holds the largest value that a server may be set to take",
    (put) => ({ ...put, value: put.value.subarray(0, 8 * 1024 * 1024) }),
  ),
  {
    what: "keeps the caller's buffer instead of its bytes",
    caughtBy: "keeps a value as it was put when the caller uses its buffer again",
    spoil: (inner) => new BufferKeepingStore(inner),
  },
  stores(
    "makes up a content type where none was sent",
    "keeps with each version what was sent with it",
    (put) => ({ ...put, contentType: put.contentType ?? "text/plain" }),
  ),
  stores(
    "cuts messages off at 255 characters",
    "keeps the longest author, message and content type",
    (put) => ({ ...put, message: put.message?.slice(0, 255) }),
  ),
  reads(
    "answers with the latest where a version does not exist",
    "has nothing to read where the key or the version does not exist",
    async (inner, queries) => {
      const latest = await inner.read(queries.map((query) => ({ ...query, select: "latest" })));
      return (await inner.read(queries)).map((result, i) => result ?? latest[i]);
    },
  ),
  reads(
    "cuts version numbers off at 32 bits",
    "has nothing to read where the key or the version does not exist",
    changingQueries((query) =>
      typeof query.select === "object" && "version" in query.select
        ? { ...query, select: { version: query.select.version >>> 0 } }
        : query,
    ),
  ),
  reads(
    "answers the same query asked twice once",
    "answers many queries in the order asked, the same one twice too",
    (inner, queries) => {
      const distinct = new Map(queries.map((query) => [JSON.stringify(query), query]));
      return inner.read([...distinct.values()]);
    },
  ),
  reads(
    "answers queries in the order of their keys",
    "answers many queries in the order asked, the same one twice too",
    (inner, queries) => inner.read(queries.toSorted((a, b) => (a.key < b.key ? -1 : 1))),
  ),
  reads(
    "answers at most a hundred queries of a batch",
    "reads five hundred entries in one batch, each its own",
    async (inner, queries) => {
      const first = await inner.read(queries.slice(0, 100));
      return queries.map((_, i) => first[i]);
    },
  ),
  reads(
    "sends the value where it was not asked for",
    "leaves out the value where a query does not ask for it",
    changingQueries((query) => ({ ...query, value: true })),
  ),
  reads(
    "leaves out an entry made in the very millisecond asked for",
    "reads what was the latest at a moment",
    changingQueries((query) =>
      typeof query.select === "object" && "asOf" in query.select
        ? { ...query, select: { asOf: query.select.asOf - 1 } }
        : query,
    ),
  ),
  reads(
    "answers the latest version as of any time after the first",
    "reads what was the latest at a moment",
    async (inner, queries) => {
      const found = await inner.read(queries);
      const latest = await inner.read(queries.map((query) => ({ ...query, select: "latest" })));
      return found.map((result, i) => {
        const select = queries[i]?.select;
        return result !== undefined && typeof select === "object" && "asOf" in select
          ? latest[i]
          : result;
      });
    },
  ),
  reads("loses what lies more than a thousand versions back", PAGING, async (inner, queries) => {
    const heads = await inner.read(
      queries.map(({ key }) => ({ key, select: "latest", value: false })),
    );
    return (await inner.read(queries)).map((result, i) => {
      const head = heads[i];
      const latest = head === undefined || head === "trimmed" ? 0 : head.version;
      const old = typeof result === "object" && result.version <= latest - 1000;
      return old ? undefined : result;
    });
  }),
  lists("ends every page of a history at a thousand", PAGING, (inner, key, page) =>
    inner.history(key, { ...page, limit: Math.min(page.limit, 1000) }),
  ),
  lists("lists the version before which a page ends", START, (inner, key, page) =>
    inner.history(
      key,
      page.order === "newest-first" && page.before !== undefined
        ? { ...page, before: page.before + 1 }
        : page,
    ),
  ),
  lists("lists the version after which a page starts", START, (inner, key, page) =>
    inner.history(key, page.order === "oldest-first" ? { ...page, after: page.after - 1 } : page),
  ),
  lists("lists every history newest first", PAGING, async (inner, key, page) =>
    (await inner.history(key, page)).toSorted((a, b) => b.version - a.version),
  ),
  lists(
    "orders versions as text",
    "pages one by one without missing or repeating a version",
    async (inner, key, page) => {
      const listed = await inner.history(key, page);
      const sign = page.order === "oldest-first" ? 1 : -1;
      return listed.toSorted((a, b) => sign * (String(a.version) < String(b.version) ? -1 : 1));
    },
  ),
];

/** Answers every read of a key with the buffers that its puts were given. */
class BufferKeepingStore extends WrappedStore {
  readonly #buffers = new Map<string, Uint8Array>();

  override async commit(transactions: readonly Transaction[]): Promise<readonly Outcome[]> {
    const outcomes = await this.inner.commit(transactions);
    for (const put of transactions.flatMap(({ puts }) => puts))
      this.#buffers.set(put.key, put.value);
    return outcomes;
  }

  override async read(queries: readonly Query[]): Promise<readonly ReadResult[]> {
    return (await this.inner.read(queries)).map((result, i) => {
      const value = this.#buffers.get(queries[i]?.key ?? "");
      return typeof result === "object" && value !== undefined ? { ...result, value } : result;
    });
  }
}
