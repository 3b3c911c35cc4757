import assert from "node:assert/strict";
import { passMoment, valueText, type StateCase } from "./state-context.ts";
import type { KeysAnswer, KeysOptions, StateApi } from "../api.ts";

/** Follows `next` to the end. */
async function allPages(state: StateApi, options: KeysOptions): Promise<readonly KeysAnswer[]> {
  const pages: KeysAnswer[] = [];
  for (let after: string | undefined; ;) {
    const page = await state.keys({ ...options, ...(after === undefined ? {} : { after }) });
    const count = page.keys.length + page.prefixes.length;
    assert.ok(count <= (options.limit ?? 100), "a page holds no more than its limit");
    pages.push(page);
    assert.ok(pages.length < 5_000, "the pages come to an end");
    if (page.next === undefined) return pages;
    after = page.next;
  }
}

const keysOf = (pages: readonly KeysAnswer[]): readonly string[] =>
  pages.flatMap(({ keys }) => keys.map(({ key }) => key));

/** Puts keys in whatever order the state likes. */
async function putAll(state: StateApi, keys: readonly string[]): Promise<void> {
  await Promise.all(keys.map((key) => state.put(key, `of ${key}`)));
}

/** Lists of keys and histories, page by page. */
export const listCases: readonly StateCase[] = [
  {
    name: "pages through a history, newest first, with and without values",
    async run(context) {
      const { state } = context;
      const key = context.key();
      for (let i = 1; i <= 23; i += 1) await state.put(key, `value ${i}`, { message: `m${i}` });
      const versions = Array.from({ length: 23 }, (_, i) => 23 - i);
      for (const limit of [1, 5, 22, 23, 24, 1000]) {
        const seen: number[] = [];
        for (let before: number | undefined; ;) {
          const cursor = before === undefined ? {} : { before };
          const page = await state.history(key, { limit, ...cursor });
          assert.ok(page !== undefined && page.versions.length <= limit);
          seen.push(...page.versions.map(({ version }) => version));
          if (page.next === undefined) break;
          before = page.next;
        }
        assert.deepEqual(seen, versions, `limit ${limit}`);
      }
      const page = await state.history(key, { limit: 2, before: 10, values: true });
      assert.deepEqual(page?.versions.map(valueText), ["value 9", "value 8"]);
      assert.deepEqual(
        page?.versions.map(({ message }) => message),
        ["m9", "m8"],
      );
      assert.equal(page?.next, 8);
      const plain = await state.history(key, { limit: 1 });
      assert.deepEqual(
        plain?.versions.map(({ value }) => value),
        [undefined],
      );
      assert.deepEqual((await state.history(key, { before: 1 }))?.versions, []);
    },
  },
  {
    name: "pages through the keys of a prefix in order, past every limit",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      const keys = Array.from({ length: 1_100 }, (_, i) => `${prefix}${i}`);
      await putAll(state, keys);
      await state.put(`${prefix.slice(0, -1)}0`, "just after the prefix");
      for (const limit of [100, 999, 1000]) {
        const pages = await allPages(state, { prefix, limit });
        assert.deepEqual(keysOf(pages), keys.toSorted(), `limit ${limit}`);
        assert.deepEqual(
          pages.flatMap(({ prefixes }) => prefixes),
          [],
        );
      }
      const few = await allPages(state, { prefix: `${prefix}10`, limit: 1 });
      assert.deepEqual(keysOf(few), keys.filter((key) => key.startsWith(`${prefix}10`)).toSorted());
      assert.deepEqual((await state.keys({ prefix: `${prefix}x` })).keys, []);
    },
  },
  {
    name: "keeps a page to its prefix, whatever cursor it is given",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      const ends = ["a", "b1", "b2", "c"];
      const infos = await Promise.all(ends.map((end) => state.put(`${prefix}${end}`, "x")));
      const at = Math.max(...infos.map(({ createdAt }) => createdAt));
      const inB: KeysOptions = { prefix: `${prefix}b` };
      const cursors = { "": ["b1", "b2"], a: ["b1", "b2"], b: ["b1", "b2"], b2: ["b2"], c: [] };
      for (const [end, expected] of Object.entries(cursors)) {
        const after = end && Buffer.from(`${prefix}${end}`).toString("base64url");
        for (const options of [inB, { ...inB, at }, { ...inB, values: true }]) {
          const page = await state.keys({ ...options, after });
          const keys = page.keys.map(({ key }) => key.slice(prefix.length));
          assert.deepEqual([keys, page.next], [expected, undefined], `after "${end}"`);
        }
        const folded = await state.keys({ ...inB, delimiter: "2", after });
        assert.deepEqual(
          [...folded.keys.map(({ key }) => key), ...folded.prefixes],
          expected.map((key) => `${prefix}${key}`),
          `folded, after "${end}"`,
        );
      }
    },
  },
  {
    name: "takes a prefix for nothing but itself",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      const ends = [
        "%",
        "%a",
        "_",
        "_a",
        "*",
        "*a",
        "a",
        "ab",
        "\\",
        "[a]",
        ".",
        "é",
        "e\u0301",
        "\u{1f600}",
      ];
      await putAll(
        state,
        ends.map((end) => `${prefix}${end}`),
      );
      for (const end of ends) {
        const listed = keysOf(await allPages(state, { prefix: `${prefix}${end}` }));
        const expected = ends
          .filter((other) => other.startsWith(end))
          .map((other) => `${prefix}${other}`);
        assert.deepEqual(listed.toSorted(), expected.toSorted(), end);
      }
    },
  },
  {
    name: "folds keys at a delimiter, whatever the limit",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      const many = Array.from({ length: 40 }, (_, i) => `app/${i}`);
      const ends = ["a", "a/1", "a/2", "a/b/c", ...many, "b", "c/", "c/x", "d//e", "z"];
      await putAll(
        state,
        ends.map((end) => `${prefix}${end}`),
      );
      for (const limit of [1, 2, 3, 7, 100]) {
        const pages = await allPages(state, { prefix, delimiter: "/", limit });
        const keys = keysOf(pages).map((key) => key.slice(prefix.length));
        const folders = pages.flatMap(({ prefixes }) =>
          prefixes.map((one) => one.slice(prefix.length)),
        );
        assert.deepEqual(keys, ["a", "b", "z"], `limit ${limit}`);
        assert.deepEqual(folders, ["a/", "app/", "c/", "d/"], `limit ${limit}`);
      }
      const inner = await state.keys({ prefix: `${prefix}a/`, delimiter: "/" });
      assert.deepEqual(
        inner.keys.map(({ key }) => key.slice(prefix.length)),
        ["a/1", "a/2"],
      );
      assert.deepEqual(
        inner.prefixes.map((one) => one.slice(prefix.length)),
        ["a/b/"],
      );
    },
  },
  {
    name: "lists keys with their latest version's metadata, and values on request",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      await state.put(`${prefix}a`, "old");
      const put = await state.put(`${prefix}a`, "new!", { contentType: "text/x", author: "me" });
      await state.put(`${prefix}b`, "");
      const plain = await state.keys({ prefix });
      assert.deepEqual(
        plain.keys.map(({ value }) => value),
        [undefined, undefined],
      );
      const [a] = plain.keys;
      assert.deepEqual([a?.version, a?.createdAt, a?.size], [2, put.createdAt, 4]);
      const full = await state.keys({ prefix, values: true });
      assert.deepEqual(full.keys.map(valueText), ["new!", ""]);
    },
  },
  {
    name: "lists keys as they were at a moment",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      await state.put(`${prefix}a`, "a1");
      const { createdAt: at } = await state.put(`${prefix}b`, "b1");
      await passMoment(state, context.key(), at);
      await state.put(`${prefix}a`, "a2");
      await state.put(`${prefix}c`, "c1");
      await state.delete(`${prefix}b`);
      await state.put(`${prefix}b`, "b1 again");
      const then = await state.keys({ prefix, at, values: true });
      assert.deepEqual(
        then.keys.map(({ key }) => key.slice(prefix.length)),
        ["a"],
      );
      assert.deepEqual(then.keys.map(valueText), ["a1"]);
      const now = await state.keys({ prefix, values: true });
      assert.deepEqual(now.keys.map(valueText), ["a2", "b1 again", "c1"]);
      assert.deepEqual((await state.keys({ prefix, at: at - 3_600_000 })).keys, []);
    },
  },
  {
    name: "ends a page with values early rather than answer too much at once",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      const value = new Uint8Array(3 * 1024 * 1024).fill(0x61);
      for (const end of ["a", "b", "c", "d"]) await state.put(`${prefix}${end}`, value);
      const pages = await allPages(state, { prefix, values: true, limit: 10 });
      assert.ok(pages.length > 1, "12 MiB do not come in one page");
      assert.deepEqual(
        keysOf(pages).map((key) => key.slice(prefix.length)),
        ["a", "b", "c", "d"],
      );
      for (const { keys } of pages) {
        for (const item of keys) assert.equal(item.value?.byteLength, value.byteLength);
      }
      for (const key of keysOf(pages)) await state.delete(key);
    },
  },
];
