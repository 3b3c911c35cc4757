import assert from "node:assert/strict";
import { test } from "node:test";
import { at, keyOf, put, requestId, transaction } from "../../conformance/build.ts";
import type { Entry, Outcome } from "../../store.ts";
import { packOutcomes, packTransactions, unpackOutcomes, unpackTransactions } from "./wire.ts";

/** Every byte there is. */
const BYTES = Uint8Array.from({ length: 256 }, (_, i) => i);

test("transactions cross whole, with all that is undefined and values of any bytes", () => {
  const key = keyOf("k\u{1f600}");
  const other = keyOf("__proto__");
  const transactions = [
    transaction({ puts: [put(key, BYTES), put(other, "")], reads: [key, other] }),
    transaction({
      request: requestId(),
      conditions: [
        { kind: "absent", key },
        { kind: "version", key, version: 3 },
        { kind: "not-entry", key, entries: [{ incarnation: "i", version: 1 }] },
      ],
      puts: [
        put(key, "text", {
          contentType: "text/plain",
          author: "someone",
          message: 'a "quoted" line\n\u2028',
          imported: { incarnation: "i", version: 4, createdAt: 5 },
        }),
      ],
      deletes: [other],
    }),
  ];
  const unpacked = unpackTransactions(packTransactions(transactions));
  assert.deepEqual(plain(unpacked), plain(transactions));
});

test("values are copied, so that the caller keeps its own", () => {
  const value = Buffer.from("a slice of Node's pool");
  const { bytes } = packTransactions([transaction({ puts: [put(keyOf("k"), value)] })]);
  assert.equal(bytes.buffer.byteLength, value.byteLength);
  bytes.fill(0);
  assert.equal(value.toString(), "a slice of Node's pool");
});

test("outcomes cross whole, with all that is undefined and the values read", () => {
  const entry: Entry = {
    incarnation: "i",
    version: 7,
    createdAt: 8,
    size: BYTES.byteLength,
    digest: "00ff",
    contentType: undefined,
    author: undefined,
    message: "m",
    value: BYTES,
  };
  const key = keyOf("k");
  const outcomes: Outcome[] = [
    {
      outcome: "committed",
      replayed: true,
      puts: [{ incarnation: "i", version: 1, createdAt: 2 }],
      deletes: [{ versions: 3 }, { versions: 0 }],
      reads: [entry, undefined, { ...entry, size: 0, value: new Uint8Array() }, entry],
    },
    {
      outcome: "conflict",
      unmet: [
        { condition: 0, key, current: undefined },
        { condition: -1, key, current: { incarnation: "i", version: 9 } },
      ],
    },
    { outcome: "request-reused" },
  ];
  const unpacked = unpackOutcomes(packOutcomes(outcomes));
  assert.deepEqual(plain(unpacked), plain(outcomes));
  assert.equal(at(unpacked, 0).outcome, "committed");
});

/** Bytes as plain arrays: whether a value is a Buffer makes no difference. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]));
}
