import assert from "node:assert/strict";
import { assertBytes, commit, committed, hash, put, putOne, readEntry } from "./build.ts";
import { transaction } from "./build.ts";
import type { StoreCase } from "./context.ts";
import { VALUE_BYTES_CEILING } from "../limits.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Values that some layer might take for something else. */
const LOOKALIKES: readonly Uint8Array[] = [
  "0",
  "1",
  "-1",
  "00",
  "1e3",
  "12345678901234567890",
  "0.1",
  "true",
  "null",
  "NULL",
  "undefined",
  "{}",
  '{"value":"x","version":7}',
  "[]",
  '"quoted"',
  "$evil.a",
  "%s ${x} {{y}}",
  "'; DROP TABLE versions; --",
  "\\x00\\n",
  "a\r\nb\r\n",
  " leading and trailing ",
  "\ufeffwith a byte order mark",
  "e\u0301 and \u00e9",
  "\u{1f600}",
  "\0",
  "a\0b",
].map(text);

/** Bytes that are not UTF-8, or that a text codec would change. */
const BYTES: readonly Uint8Array[] = [
  Uint8Array.of(),
  Uint8Array.from({ length: 256 }, (_, i) => i),
  Uint8Array.from({ length: 256 }, (_, i) => 255 - i),
  Uint8Array.of(0xff, 0xfe, 0x00, 0xd8),
  Uint8Array.of(0xc3, 0x28),
  Uint8Array.of(0xed, 0xa0, 0x80),
];

/** Values come back as they were put, byte for byte. */
export const valueCases: readonly StoreCase[] = [
  {
    name: "returns every byte of odd values, by each way of reading",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const values = [...BYTES, ...LOOKALIKES];
      for (const value of values) await putOne(store, key, value);
      const queries = values.map(
        (_, i) => ({ key, select: { version: i + 1 }, value: true }) as const,
      );
      const results = await store.read(queries);
      for (const [i, value] of values.entries()) {
        const result = results[i];
        assert.ok(result !== undefined && result !== "trimmed");
        assertBytes(result.value, value, `version ${i + 1}`);
        assert.equal(result.size, value.byteLength);
        assert.equal(result.digest, hash(value));
      }
    },
  },
  {
    name: "returns every byte of odd values as the latest, and in a transaction's reads",
    async run(context) {
      const { store } = context;
      const keys = [...BYTES, ...LOOKALIKES].map((value) => ({ key: context.key(), value }));
      for (const { key, value } of keys) {
        await putOne(store, key, value);
        assertBytes((await readEntry(store, key)).value, value, "the latest");
        const { reads } = committed(await commit(store, { reads: [key] }));
        assertBytes(reads[0]?.value, value, "the read of a transaction");
      }
    },
  },
  {
    name: "keeps a value as it was put when the caller uses its buffer again",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const value = text("as it was put");
      const kept = value.slice();
      await putOne(store, key, value);
      value.fill(0);
      assertBytes((await readEntry(store, key)).value, kept, "after the buffer was used again");
    },
  },
  {
    name: "keeps a value as it was put when a reader writes into its answer",
    async run(context) {
      const { store } = context;
      const key = context.key();
      await putOne(store, key, "as it was put");
      (await readEntry(store, key)).value?.fill(0);
      assertBytes((await readEntry(store, key)).value, text("as it was put"), "the next answer");
    },
  },
  {
    name: "holds a value of 1 MiB in each of several versions",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const values = [1, 2, 3].map((seed) => noise(1024 * 1024, seed));
      for (const value of values) await putOne(store, key, value);
      for (const [i, value] of values.entries()) {
        const entry = await readEntry(store, key, { version: i + 1 });
        assertBytes(entry.value, value, `version ${i + 1}`);
      }
    },
  },
  {
    name: "holds the largest value that a server may be set to take",
    async run(context) {
      const { store } = context;
      const key = context.key();
      const value = noise(VALUE_BYTES_CEILING, 4);
      await putOne(store, key, "small before");
      const result = await putOne(store, key, value, {
        contentType: "application/octet-stream",
        author: "a".repeat(256),
        message: "m".repeat(1024),
      });
      assert.equal(result.version, 2);
      assertBytes((await readEntry(store, key)).value, value, "the largest value");
      await commit(store, { deletes: [key] });
    },
  },
  {
    name: "takes a batch of many large values together",
    async run(context) {
      const { store } = context;
      const keys = Array.from({ length: 14 }, () => context.key());
      const value = noise(1024 * 1024, 5);
      const batch = keys.map((key) => transaction({ puts: [put(key, value)] }));
      for (const outcome of await store.commit(batch)) committed(outcome);
      const results = await store.read(
        keys.map((key) => ({ key, select: "latest", value: true }) as const),
      );
      for (const result of results) {
        assert.ok(result !== undefined && result !== "trimmed");
        assertBytes(result.value, value, "one of many large values");
      }
    },
  },
];

/** Bytes that do not compress and differ from place to place, the same for the same seed. */
function noise(length: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed * 2654435761;
  for (let i = 0; i < words.length; i += 1) {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + i) >>> 0;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}
