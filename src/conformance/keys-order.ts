import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { commit, deleteOne, keyOf, putKeys, putMany, putOne, readOne, textOf } from "./build.ts";
import type { StoreCase } from "./context.ts";
import { unique } from "./build.ts";
import { compareKeys, keyAfter, prefixEnd, type Key } from "../key.ts";
import { KEY_BYTES_MAX } from "../limits.ts";
import type { KeyInfo, Store } from "../store.ts";

/** Ends of keys that some store, driver or language treats in a way of its own. */
const ODD_ENDS: readonly string[] = [
  "a",
  "A",
  "aa",
  "a ",
  " a",
  "a  ",
  "ä",
  "Ä",
  "a\u0308",
  "ß",
  "SS",
  "ss",
  "ſ",
  "İ",
  "ı",
  "I",
  "i",
  "é",
  "e\u0301",
  "\ufb01",
  "fi",
  "%",
  "%25",
  "%2F",
  "_",
  "__",
  "*",
  "?",
  ".",
  "..",
  "...",
  "a.b",
  "$",
  "$set",
  "$where",
  "$a.b",
  ":",
  "::",
  "a:b",
  "{}",
  "{",
  "}",
  "}{",
  "{x}",
  "{x}y",
  "a{x}",
  "{}{x}",
  "[0]",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "length",
  "0",
  "00",
  "1",
  "01",
  "10",
  "2",
  "-1",
  "1e3",
  "0x10",
  "1.0",
  "NaN",
  "null",
  "undefined",
  "true",
  "'",
  '"',
  "`",
  "''",
  "\\",
  "\\\\",
  "\\'",
  "\\0",
  "\\n",
  "\n",
  "\r\n",
  "\t",
  "\u0001",
  "\u007f",
  "/",
  "//",
  "a/b",
  "a/",
  "/a",
  "#",
  "&",
  "=",
  "+",
  ";",
  ",",
  "|",
  "~",
  "^",
  "@",
  "!",
  "<b>",
  "\u0080",
  "\u00a0",
  "\u200b",
  "\u200d",
  "\ufeff",
  "\ufffd",
  "\uffff",
  "\ue000",
  "\ud7ff",
  "\u{10000}",
  "\u{1f600}",
  "\u{10ffff}",
  "漢字",
  "日本語",
  "עברית",
  "🇩🇪",
  "👩‍👩‍👧",
  "z",
  "zz",
  "zzz",
];

/** Puts the odd ends under a prefix of their own; the bare prefix is a key too. */
function oddKeys(): { readonly prefix: string; readonly keys: readonly Key[] } {
  const prefix = `${unique()}/`;
  return { prefix, keys: ["", ...ODD_ENDS].map((end) => keyOf(`${prefix}${end}`)) };
}

/** The order of keys, by the bytes of their UTF-8. */
function byBytes(keys: readonly Key[]): readonly Key[] {
  return keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Lists all keys of a prefix in pages of this size. */
export async function listAll(store: Store, prefix: string, limit: number): Promise<KeyInfo[]> {
  const all: KeyInfo[] = [];
  const to = prefixEnd(prefix);
  for (let from = prefix; ;) {
    const page = await store.keys({ from, to, limit });
    assert.ok(page.length <= limit, `a page of ${limit} holds no more`);
    const isEarly = page.some(({ key }) => compareKeys(key, from) < 0);
    assert.ok(!isEarly, "no key lies before the lower bound");
    all.push(...page);
    const last = page.at(-1);
    if (last === undefined || page.length < limit) return all;
    from = keyAfter(last.key);
  }
}

const keysOf = (infos: readonly KeyInfo[]): readonly Key[] => infos.map(({ key }) => key);

/** Keys are bytes: told apart by each of them, and listed in their order. */
export const keyCases: readonly StoreCase[] = [
  {
    name: "tells odd keys apart by their bytes",
    async run({ store }) {
      const { keys } = oddKeys();
      await putKeys(store, keys);
      const results = await store.read(
        keys.map((key) => ({ key, select: "latest", value: true }) as const),
      );
      assert.deepEqual(
        results.map(textOf),
        keys.map((key) => `of ${key}`),
      );
      const versions = results.map((result) => (result as { version: number }).version);
      assert.deepEqual(
        versions,
        keys.map(() => 1),
        "no two of them are one key",
      );
      for (const key of keys.filter((_, i) => i % 2 === 0)) await deleteOne(store, key);
      const left = await store.read(
        keys.map((key) => ({ key, select: { version: 1 }, value: true }) as const),
      );
      assert.deepEqual(
        left.map(textOf),
        keys.map((key, i) => (i % 2 === 0 ? undefined : `of ${key}`)),
      );
    },
  },
  {
    name: "takes odd keys whole, with nothing before them, in a store of their own",
    async run(context) {
      const store = await context.openEmpty();
      const reserved = new Set(["-", ".", ".."]);
      const keys = ODD_ENDS.filter((end) => !reserved.has(end)).map(keyOf);
      await putKeys(store, keys);
      for (const key of keys) {
        assert.equal(textOf(await readOne(store, key)), `of ${key}`, JSON.stringify(key));
      }
      const listed = await store.keys({ from: "", to: undefined, limit: 1000 });
      assert.deepEqual(keysOf(listed), byBytes(keys));
      for (const key of keys) assert.equal(await deleteOne(store, key), 1, JSON.stringify(key));
      assert.deepEqual(await store.keys({ from: "", to: undefined, limit: 1000 }), []);
    },
  },
  {
    name: "lists odd keys in the order of their UTF-8 bytes",
    async run({ store }) {
      const { prefix, keys } = oddKeys();
      await putKeys(store, keys);
      for (const limit of [1, 7, 1000]) {
        assert.deepEqual(keysOf(await listAll(store, prefix, limit)), byBytes(keys));
      }
    },
  },
  {
    name: "lists keys with the metadata of their latest version",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putMany(store, key, 3);
      const put = await putOne(store, key, "latest!", {
        contentType: "a/b",
        author: "c",
        message: "d",
      });
      const [info, more] = await store.keys({ from: key, to: keyAfter(key), limit: 10 });
      assert.ok(info !== undefined && more === undefined);
      const { incarnation, version, createdAt, size, contentType, author, message } = info;
      assert.deepEqual({ incarnation, version, createdAt }, put);
      assert.deepEqual(
        { size, contentType, author, message },
        { size: 7, contentType: "a/b", author: "c", message: "d" },
      );
      const entry = await readOne(store, key);
      assert.ok(entry !== undefined && entry !== "trimmed");
      assert.equal(info.digest, entry.digest);
    },
  },
  {
    name: "lists past every limit: 2,200 keys in pages of 50 and of 1,000, and all at once",
    async run({ store }) {
      const prefix = `${unique()}:`;
      const keys = Array.from({ length: 2200 }, (_, i) => keyOf(`${prefix}${(i * 7919) % 2200}`));
      await putKeys(store, keys);
      const expected = byBytes(keys);
      for (const limit of [50, 1000, 1001, 5000]) {
        assert.deepEqual(keysOf(await listAll(store, prefix, limit)), expected);
      }
      const first = await store.keys({ from: prefix, to: prefixEnd(prefix), limit: 1 });
      assert.deepEqual(keysOf(first), expected.slice(0, 1));
      assert.deepEqual(await store.keys({ from: prefix, to: prefix, limit: 10 }), []);
    },
  },
  {
    name: "takes bounds that are no keys, and leaves out the upper one",
    async run({ store }) {
      const prefix = `${unique()}`;
      const keys = ["a", "b", "b!", "ba", "c", "é", "\u{1f600}"].map((end) =>
        keyOf(`${prefix}${end}`),
      );
      await putKeys(store, keys);
      const list = async (from: string, to: string): Promise<readonly string[]> =>
        keysOf(
          await store.keys({ from: `${prefix}${from}`, to: `${prefix}${to}`, limit: 100 }),
        ).map((key) => key.slice(prefix.length));
      assert.deepEqual(await list("", "\u{10ffff}"), ["a", "b", "b!", "ba", "c", "é", "\u{1f600}"]);
      assert.deepEqual(await list("a", "c"), ["a", "b", "b!", "ba"]);
      assert.deepEqual(await list("b", "b\0"), ["b"]);
      assert.deepEqual(await list("b\0", "ba"), ["b!"]);
      assert.deepEqual(await list("aa", "b"), []);
      assert.deepEqual(await list("c\0", "\uffff"), ["é"]);
      assert.deepEqual(await list("c", "a"), []);
      assert.deepEqual(await list("\ufffd", "\u{10ffff}"), ["\u{1f600}"]);
    },
  },
  {
    name: "lists without an upper bound to the last key, and from the beginning",
    async run({ store }) {
      const last = `\u{10ffff}\u{10ffff}${unique()}`;
      const keys = ["", "a", "b"].map((end) => keyOf(`${last}${end}`));
      await putKeys(store, keys);
      const tail = await store.keys({ from: last, to: undefined, limit: 1000 });
      assert.deepEqual(
        keysOf(tail).filter((key) => key.startsWith(last)),
        keys,
      );
      const first = keyOf(`\u0001${unique()}`);
      await putOne(store, first, "first");
      const head = await store.keys({ from: "", to: keyAfter(first), limit: 1000 });
      assert.ok(keysOf(head).includes(first), "an empty lower bound is the beginning");
      for (const key of [...keys, first]) await deleteOne(store, key);
    },
  },
  {
    name: "holds keys of 1 byte and of 512, and those that differ in the last byte alone",
    async run({ store }) {
      const head = unique();
      const long = "k".repeat(KEY_BYTES_MAX - head.length - 1);
      const wide = "\u{1f600}".repeat((KEY_BYTES_MAX - head.length) / 4);
      const ends = [`${long}a`, `${long}b`, long, wide, wide.slice(0, -2)];
      const keys = ends.map((end) => keyOf(`${head}${end}`));
      await putKeys(store, keys);
      for (const key of keys) assert.equal(textOf(await readOne(store, key)), `of ${key}`);
      assert.deepEqual(keysOf(await listAll(store, head, 2)), byBytes(keys));
      const short = keyOf("k");
      await deleteOne(store, short);
      assert.equal((await putOne(store, short, "one byte")).version, 1);
      assert.equal(await deleteOne(store, short), 1);
    },
  },
  {
    name: "lists a key that is there all along exactly once while others come and go",
    async run({ store }) {
      const prefix = `${unique()}/`;
      const stable = Array.from({ length: 120 }, (_, i) => keyOf(`${prefix}${i * 10}`));
      await putKeys(store, stable);
      let writing = true;
      const churn = async (): Promise<void> => {
        for (let i = 0; writing; i = (i + 3) % 1200) {
          if (i % 10 === 0) continue;
          const key = keyOf(`${prefix}${i}`);
          await putOne(store, key, "comes");
          await commit(store, { deletes: [key] });
          await turn();
        }
      };
      const churning = churn();
      try {
        for (const limit of [9, 50]) {
          const listed = keysOf(await listAll(store, prefix, limit));
          assert.deepEqual(listed, byBytes(listed), "in order");
          assert.equal(new Set(listed).size, listed.length, "none twice");
          const kept = new Set<Key>(stable);
          assert.deepEqual(
            listed.filter((key) => kept.has(key)),
            byBytes(stable),
          );
        }
      } finally {
        writing = false;
        await churning;
      }
    },
  },
];
