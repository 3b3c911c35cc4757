import assert from "node:assert/strict";
import { test } from "node:test";

import { LargeText } from "./large-text.ts";

function make(bytes: Buffer): { readonly text: string; readonly pieces: number } {
  const large = new LargeText(bytes);
  while (!large.step());
  return { text: Buffer.concat(large.pieces).toString(), pieces: large.pieces.length };
}

test("text comes out as JSON would quote it, wherever it is cut", () => {
  // Characters of one to four bytes, and some that are escaped, so that every cut is met.
  for (const unit of ["x", "é", "€", "𝄞", '"', "\\", "\n", "\u0000", 'aé€𝄞"\\\n\u2028']) {
    for (const shift of ["", "a", "ab", "abc"]) {
      const value = shift + unit.repeat(300_000 / Buffer.byteLength(unit));
      const { text, pieces } = make(Buffer.from(value));
      assert.ok(pieces > 4);
      assert.equal(`"${text}"`, JSON.stringify(value));
    }
  }
});

test("text without escapes is not copied, and each piece decides for itself", () => {
  const plain = "x".repeat(100_000);
  const bytes = Buffer.from(`${plain}"${plain}`);
  const large = new LargeText(bytes);
  while (!large.step());
  const shared = large.pieces.map((piece) => piece.buffer === bytes.buffer);
  assert.deepEqual(shared, [true, false, true, true]);
});

test("bytes that are not text come out as one base64", () => {
  for (const size of [200_000, 200_001, 200_002]) {
    const bytes = Buffer.alloc(size, Buffer.from([0xff, 0x00, 0x80, 0x7f, 0xc3]));
    assert.equal(make(bytes).text, bytes.toString("base64"));
  }
});
