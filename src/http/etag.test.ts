import assert from "node:assert/strict";
import { test } from "node:test";

import { isNamed, parseEtags, toEtag } from "./etag.ts";

const ENTRY = { incarnation: "aB3-_x", version: 7 };

test("an ETag names incarnation and version and is read back", () => {
  assert.equal(toEtag(ENTRY), '"aB3-_x.7"');
  assert.deepEqual(parseEtags("If-Match", '"aB3-_x.7"', { weak: false }), [ENTRY]);
});

test("lists are read whole, and what this server can't have made is left out", () => {
  const list = ' "x.1" ,"foreign", "a.b.2","x.01" , "", "aB3-_x.7"';
  assert.deepEqual(parseEtags("If-Match", list, { weak: false }), [
    { incarnation: "x", version: 1 },
    ENTRY,
  ]);
  assert.equal(parseEtags("If-Match", " * ", { weak: false }), "*");
  assert.deepEqual(parseEtags("If-Match", "", { weak: false }), []);
});

test("a weak tag matches only where weak comparison is meant", () => {
  assert.deepEqual(parseEtags("If-Match", 'W/"aB3-_x.7"', { weak: false }), []);
  assert.deepEqual(parseEtags("If-None-Match", 'W/"aB3-_x.7"', { weak: true }), [ENTRY]);
});

test("what is no list of entity tags is refused with the header's name", () => {
  for (const text of ["7", "aB3.7", '"a', 'a"', '*, "x.1"', '"x.1" "y.1"', 'w/"x.1"', "'x.1'"]) {
    assert.throws(
      () => parseEtags("If-Match", text, { weak: false }),
      { code: "invalid_parameter", details: { parameter: "If-Match" } },
      text,
    );
  }
});

test("an entry is named by its own tag or a star", () => {
  assert.ok(isNamed(ENTRY, "*"));
  assert.ok(isNamed(ENTRY, [{ ...ENTRY }]));
  assert.ok(!isNamed(ENTRY, [{ ...ENTRY, version: 8 }]));
  assert.ok(!isNamed(ENTRY, [{ ...ENTRY, incarnation: "other" }]));
  assert.ok(!isNamed(ENTRY, []));
});
