import assert from "node:assert/strict";
import { assertBytes, hash } from "./build.ts";
import { refused, valueText, withoutUndefined, type StateCase } from "./state-context.ts";
import { KEY_BYTES_MAX, MESSAGE_CHARS_MAX, AUTHOR_CHARS_MAX } from "../limits.ts";

const ODD_KEYS = [
  "a b",
  " a",
  "a ",
  "a/b",
  "/",
  "//",
  "a%2Fb",
  "%",
  "%25",
  "%zz",
  "?raw",
  "a?b=c",
  "a#b",
  "a&b",
  "a=b",
  "a+b",
  "versions",
  "watch",
  "diff",
  "restore",
  "livez",
  "index.html",
  "favicon.ico",
  "1",
  "01",
  "-1",
  "--",
  "...",
  ".a",
  "a.",
  "ä",
  "a\u0308",
  "漢字",
  "\u{1f600}",
  "\ufffd",
  "__proto__",
  "constructor",
  "toString",
  '"',
  "'",
  "\\",
  "<b>",
  "\n",
  "\r\n",
  "\t",
  "\u0001",
  "\u007f",
  ":",
  "a:b",
  "@",
  "~",
  "{x}",
];

/** Keys that are none, for each reason. */
const ILLEGAL_KEYS: Readonly<Record<string, string>> = {
  empty: "",
  dash: "-",
  dot: ".",
  dots: "..",
  zero: "a\0b",
  surrogate: "a\ud800b",
  "too long": "k".repeat(KEY_BYTES_MAX + 1),
  "too long in bytes": "\u{1f600}".repeat(KEY_BYTES_MAX / 4 + 1),
};

/** Putting, reading and deleting one key. */
export const entryCases: readonly StateCase[] = [
  {
    name: "puts versions and gets each of them",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const first = await state.put(key, "one");
      const second = await state.put(key, new TextEncoder().encode("two"));
      assert.deepEqual([first.key, first.version, first.replayed], [key, 1, false]);
      assert.deepEqual([second.version, second.incarnation], [2, first.incarnation]);
      assert.equal(second.digest, hash("two"));
      assert.equal(valueText(await state.get(key)), "two");
      assert.equal(valueText(await state.getVersion(key, 1)), "one");
      const { value, ...info } = (await state.get(key)) ?? assert.fail("the entry is there");
      assert.equal(value.byteLength, 3);
      assert.deepEqual(info, {
        incarnation: first.incarnation,
        version: 2,
        createdAt: second.createdAt,
        size: 3,
        digest: hash("two"),
        contentType: undefined,
        author: undefined,
        message: undefined,
      });
      const head = (await state.head(key)) ?? assert.fail("the entry is there");
      assert.deepEqual(withoutUndefined(head), withoutUndefined(info));
    },
  },
  {
    name: "has nothing where the key or the version does not exist",
    async run(context) {
      const { state } = context;
      const [key, none] = [context.key(), context.key()];
      await state.put(key, "x");
      assert.ok((await state.head(key)) !== undefined);
      assert.equal(await state.get(none), undefined);
      assert.equal(await state.head(none), undefined);
      assert.equal(await state.getVersion(none, 1), undefined);
      assert.equal(await state.getVersion(key, 2), undefined);
      assert.equal(await state.head(key, { version: 2 }), undefined);
      assert.equal(await state.history(none), undefined);
      assert.deepEqual(await state.delete(none), { versions: 0 });
    },
  },
  {
    name: "keeps content type, author and message with each version",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const more = {
        contentType: "text/css; charset=utf-8",
        author: "Zoë ✓",
        message: "50% of\nit's",
      };
      await state.put(key, "a", more);
      await state.put(key, "b");
      const first = await state.head(key, { version: 1 });
      const { contentType, author, message } = first ?? assert.fail("version 1 is there");
      assert.deepEqual({ contentType, author, message }, more);
      const second = await state.get(key);
      assert.deepEqual(
        [second?.contentType, second?.author, second?.message],
        [undefined, undefined, undefined],
      );
    },
  },
  {
    name: "takes odd keys through every call",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      const keys = ODD_KEYS.map((end) => `${prefix}${end}`);
      await Promise.all(keys.map((key) => state.put(key, `of ${key}`)));
      for (const key of keys) {
        assert.equal(valueText(await state.get(key)), `of ${key}`, JSON.stringify(key));
        assert.equal((await state.getVersion(key, 1))?.version, 1);
        assert.equal((await state.history(key))?.versions.length, 1);
      }
      const listed = await state.keys({ prefix, limit: 1000 });
      const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      assert.deepEqual(
        listed.keys.map(({ key }) => key),
        sorted,
      );
      for (const key of keys) assert.deepEqual(await state.delete(key), { versions: 1 });
    },
  },
  {
    name: "takes whole keys that are words of the routes or of the language",
    async run(context) {
      const { state } = context;
      for (const key of ["versions", "constructor", "__proto__", "1", "a/b", "%2F", "watch"]) {
        await state.delete(key);
        assert.equal((await state.put(key, `of ${key}`)).version, 1, key);
        assert.equal(valueText(await state.get(key)), `of ${key}`);
        assert.deepEqual(await state.delete(key), { versions: 1 });
      }
    },
  },
  {
    name: "returns values byte for byte",
    async run(context) {
      const { state } = context;
      const values = [
        Uint8Array.of(),
        Uint8Array.from({ length: 256 }, (_, i) => i),
        Uint8Array.of(0xc3, 0x28, 0xff),
        new TextEncoder().encode('\ufeff{"value":"x"}\r\n'),
        new Uint8Array(1024 * 1024).fill(0xa5),
      ];
      const key = context.key();
      for (const value of values) await state.put(key, value);
      for (const [i, value] of values.entries()) {
        assertBytes((await state.getVersion(key, i + 1))?.value, value, `version ${i + 1}`);
      }
      const page = await state.history(key, { values: true });
      for (const item of page?.versions ?? []) {
        assertBytes(item.value, values[item.version - 1] ?? Uint8Array.of(), "in the history");
      }
      assert.equal(page?.versions.length, values.length);
    },
  },
  {
    name: "refuses a value that is too large, and takes the largest",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const largest = new Uint8Array(8 * 1024 * 1024).fill(7);
      await refused("value_too_large", () => state.put(key, new Uint8Array(largest.length + 1)));
      assert.equal(await state.get(key), undefined);
      await state.put(key, largest);
      assertBytes((await state.get(key))?.value, largest, "the largest value");
      await state.delete(key);
    },
  },
  {
    name: "deletes a key with all its versions, and starts it over",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const first = await state.put(key, "one");
      await state.put(key, "two");
      assert.deepEqual(await state.delete(key), { versions: 2 });
      assert.equal(await state.get(key), undefined);
      assert.equal(await state.getVersion(key, 1), undefined);
      assert.equal(await state.history(key), undefined);
      assert.deepEqual((await state.keys({ prefix: key })).keys, []);
      const reborn = await state.put(key, "again");
      assert.equal(reborn.version, 1);
      assert.notEqual(reborn.incarnation, first.incarnation);
      assert.equal(await state.getVersion(key, 2), undefined);
    },
  },
  {
    name: "stores a value as it was at the call, and answers bytes that are the caller's own",
    async run(context) {
      const { state } = context;
      const [key, other] = context.taggedKeys(2) as [string, string];
      const value = Buffer.from("hello");
      const writing = [state.put(key, value), state.transact({ put: [{ key: other, value }] })];
      value.fill(0x78);
      await Promise.all(writing);
      for (let round = 0; round < 2; round += 1) {
        const { get } = await state.transact({ get: [other] });
        const reads = [state.get(key), state.get(key), state.get(other), state.get(other)];
        for (const entry of [...(await Promise.all(reads)), get[0]?.entry]) {
          assert.equal(valueText(entry), "hello");
          assert.equal(entry?.digest, hash("hello"));
          entry.value.fill(0);
        }
      }
    },
  },
  {
    name: "refuses what is no key, in every call",
    async run({ state }) {
      for (const [what, key] of Object.entries(ILLEGAL_KEYS)) {
        const calls: readonly (() => Promise<unknown>)[] = [
          () => state.put(key, "x"),
          () => state.get(key),
          () => state.getVersion(key, 1),
          () => state.head(key),
          () => state.delete(key),
          () => state.history(key),
          () => state.diff(key, { from: { version: 1 } }),
          () => state.restore(key, { from: { version: 1 } }),
          () => state.transact({ put: [{ key, value: "x" }] }),
          () => state.transact({ delete: [key] }),
          () => state.transact({ get: [key] }),
        ];
        for (const [i, call] of calls.entries())
          await refused("invalid_key", call, `${what}, call ${i}`);
      }
    },
  },
  {
    name: "refuses parameters that are out of bounds",
    async run(context) {
      const { state } = context;
      const key = context.key();
      await state.put(key, "x");
      for (const number of [0, -1, 1.5, Number.NaN, 2 ** 53]) {
        const version = number;
        await refused("invalid_parameter", () => state.getVersion(key, version), `${number}`);
        await refused("invalid_parameter", () => state.head(key, { version }), `${number}`);
        await refused(
          "invalid_parameter",
          () => state.restore(key, { from: { version } }),
          `${number}`,
        );
        await refused(
          "invalid_parameter",
          () => state.history(key, { before: number }),
          `${number}`,
        );
      }
      for (const limit of [0, -1, 1.5, 1001, Number.NaN]) {
        await refused("invalid_parameter", () => state.history(key, { limit }), `limit ${limit}`);
        await refused("invalid_parameter", () => state.keys({ limit }), `limit ${limit}`);
      }
      for (const cas of [-1, 0.5, Number.NaN]) {
        await refused("invalid_parameter", () => state.put(key, "y", { cas }), `cas ${cas}`);
      }
      await refused("invalid_parameter", () => state.get(key, { at: Number.NaN }));
      await refused("invalid_parameter", () => state.get(key, { at: new Date("nonsense") }));
      const author = "a".repeat(AUTHOR_CHARS_MAX + 1);
      await refused("invalid_parameter", () => state.put(key, "y", { author }));
      const message = "m".repeat(MESSAGE_CHARS_MAX + 1);
      await refused("invalid_parameter", () => state.put(key, "y", { message }));
      for (const idempotencyKey of ["", "i".repeat(257)]) {
        await refused("invalid_parameter", () => state.put(key, "y", { idempotencyKey }));
      }
      await refused("invalid_parameter", () => state.keys({ after: "no cursor!" }));
      assert.equal((await state.head(key))?.version, 1, "nothing was written");
    },
  },
  {
    name: "reads as of a time, given as a number or as a Date",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const times: number[] = [];
      for (let i = 1; i <= 4; i += 1) times.push((await state.put(key, `value ${i}`)).createdAt);
      for (const at of times) {
        const version = times.lastIndexOf(at) + 1;
        assert.equal((await state.get(key, { at }))?.version, version);
        assert.equal((await state.get(key, { at: new Date(at) }))?.version, version);
        assert.equal((await state.head(key, { at }))?.version, version);
      }
      const first = times[0] ?? 0;
      assert.equal(await state.get(key, { at: first - 1 }), undefined);
      assert.equal((await state.get(key, { at: first + 3_600_000 }))?.version, 4);
    },
  },
  {
    name: "numbers fifty puts at once 1 to 50, and batches hide no failure",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const puts = Array.from({ length: 50 }, (_, i) => state.put(key, `value ${i}`));
      const refusals = Array.from({ length: 10 }, () =>
        refused("condition_failed", () => state.put(key, "never", { cas: 1_000 })),
      );
      const answers = await Promise.all(puts);
      await Promise.all(refusals);
      const versions = answers.map(({ version }) => version).toSorted((a, b) => a - b);
      assert.deepEqual(
        versions,
        Array.from({ length: 50 }, (_, i) => i + 1),
      );
      const entries = await Promise.all(
        answers.map(({ version }) => state.getVersion(key, version)),
      );
      assert.deepEqual(
        entries.map(valueText),
        answers.map((_, i) => `value ${i}`),
      );
    },
  },
  {
    name: "refuses calls after close",
    async run(context) {
      const state = await context.open();
      const key = context.key();
      await state.put(key, "x");
      await state.close();
      for (const call of [() => state.put(key, "y"), () => state.get(key), () => state.keys()]) {
        const error = await call().then(
          () => undefined,
          (reason: unknown) => reason,
        );
        assert.ok(error instanceof Error && error.name === "StateError", String(error));
      }
      await state.close();
      assert.equal(valueText(await context.state.get(key)), "x");
    },
  },
];
