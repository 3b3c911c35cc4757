import assert from "node:assert/strict";
import { test } from "node:test";

import { compareKeys, hashKey, keyAfter, parseKey, prefixEnd } from "./key.ts";

function reasonOf(text: string): string {
  const parsed = parseKey(text);
  return parsed.ok ? "" : parsed.reason;
}

test("a key keeps its case, blanks and normal form", () => {
  for (const text of ["a", "A", "a ", " a", "\u00e9", "e\u0301", "__proto__", "a/b", "7", "--"]) {
    assert.deepEqual(parseKey(text), { ok: true, key: text });
  }
});

test("a key holds 1 to 512 bytes of UTF-8, not characters", () => {
  assert.equal(parseKey("a".repeat(512)).ok, true);
  assert.match(reasonOf("a".repeat(513)), /this one has 513/);
  assert.equal(parseKey("\u00e9".repeat(256)).ok, true);
  assert.match(reasonOf("\u00e9".repeat(257)), /this one has 514/);
  assert.match(reasonOf(""), /at least one byte/);
});

test("reserved paths, U+0000 and lone surrogates are no keys", () => {
  for (const text of ["-", ".", ".."]) assert.match(reasonOf(text), /reserved/);
  assert.match(reasonOf("a\0b"), /U\+0000/);
  assert.match(reasonOf("a\ud800"), /well-formed/);
});

test("keys order by their UTF-8 bytes, also beyond the basic plane", () => {
  const texts = [
    "\u{1f600}",
    "\uffee",
    "z",
    "a",
    "ab",
    "a\u0001",
    "\ud7ff",
    "\ue000",
    "\u{10ffff}",
  ];
  const byBytes = texts.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  assert.deepEqual(texts.toSorted(compareKeys), byBytes);
});

test("a prefix ends where the next string begins that does not start with it", () => {
  assert.equal(prefixEnd("a"), "b");
  assert.equal(prefixEnd("app/"), "app0");
  assert.equal(prefixEnd("a\u{10ffff}"), "b");
  assert.equal(prefixEnd("\ud7ff"), "\ue000");
  assert.equal(prefixEnd(""), undefined);
  assert.equal(prefixEnd("\u{10ffff}"), undefined);
});

test("nothing lies between a key and what comes after it", () => {
  assert.ok(compareKeys("a", keyAfter("a")) < 0);
  assert.ok(compareKeys(keyAfter("a"), "a\u0001") < 0);
});

test("keys that share a {tag} share a hash, and an empty tag counts for nothing", () => {
  assert.equal(hashKey("{user7}:name"), hashKey("orders:{user7}"));
  assert.notEqual(hashKey("{}a"), hashKey("{}b"));
});

test("the hash spreads similar keys over few partitions", () => {
  const counts = Array.from({ length: 16 }, () => 0);
  for (let i = 0; i < 16_000; i += 1) {
    const partition = hashKey(`key-${i}`) % 16;
    counts[partition] = (counts[partition] ?? 0) + 1;
  }
  for (const count of counts) assert.ok(count > 700 && count < 1300, `${count} of 16,000 keys`);
});
