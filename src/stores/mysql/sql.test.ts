import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesLiteral, hexLiteral, integerLiteral, tablesOf, textLiteral } from "./sql.ts";

test("literals of bytes and text can hold no quote and no backslash of the value", () => {
  assert.equal(textLiteral(`'; DROP --\\"`), "x'273b2044524f50202d2d5c22'");
  assert.equal(textLiteral("ü"), "x'c3bc'");
  assert.equal(textLiteral(""), "''");
  assert.equal(textLiteral(undefined), "NULL");
  assert.equal(textLiteral('{"a": [1, 2]}\n'), `'{"a": [1, 2]}\n'`);
  for (const character of ["'", "\\", "\0", "\x1a", "\x7f", "\b", "é", "\u{1f600}"]) {
    assert.match(textLiteral(`a${character}`), /^x'61[0-9a-f]{2,8}'$/);
    assert.match(bytesLiteral(Buffer.from(`a${character}`)), /^x'61[0-9a-f]{2,8}'$/);
  }
  assert.equal(bytesLiteral(Buffer.from("plain")), "'plain'");
  assert.equal(bytesLiteral(new Uint8Array([0, 39, 92, 255])), "x'00275cff'");
});

test("a literal of a window onto a larger buffer holds the window alone", () => {
  assert.equal(bytesLiteral(new Uint8Array([1, 2, 3, 4]).subarray(1, 3)), "x'0203'");
  assert.equal(bytesLiteral(new TextEncoder().encode("abcd").subarray(1, 3)), "'bc'");
});

test("what is no number, and no hexadecimal digits, gets into no statement", () => {
  assert.equal(integerLiteral(-5), "-5");
  for (const value of [Number.NaN, Infinity, 1.5, 2 ** 60]) {
    assert.throws(() => integerLiteral(value), TypeError);
  }
  assert.equal(hexLiteral("00fF"), "x'00fF'");
  for (const digits of ["0", "zz", "00' OR 1", "00\n"]) {
    assert.throws(() => hexLiteral(digits), TypeError);
  }
});

test("tables are named by their prefix, quoted", () => {
  assert.equal(tablesOf("app-1").heads, "`app-1_heads`");
});
