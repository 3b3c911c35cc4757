import assert from "node:assert/strict";
import { test } from "node:test";

import { keyOf, keySegment, parseVersion, pathOf, secondSegment } from "./path.ts";

test("a key is percent-decoded exactly once", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["/a", "a"],
    ["/a?raw", "a"],
    ["/a/1", "a"],
    ["/a%2Fb", "a/b"],
    ["/a%252Fb", "a%2Fb"],
    ["/%25", "%"],
    ["/a%20b", "a b"],
    ["/a+b", "a+b"],
    ["/%C3%A9", "é"],
    ["/e%CC%81", "e\u0301"],
    ["/%F0%9F%98%80", "😀"],
    ["/a%3Fb?x=%2F", "a?b"],
    ["/a;b=c", "a;b=c"],
    ["/a:b,c@d&e=f$g!h'i(j)k*l", "a:b,c@d&e=f$g!h'i(j)k*l"],
    ["/__proto__", "__proto__"],
    ["/%00", "\0"],
    ["http://example.org/a%2Fb/2?x", "a/b"],
  ];
  for (const [url, key] of cases) assert.equal(keyOf(url), key, url);
});

test("a segment that is no percent-encoded UTF-8 is an invalid key", () => {
  for (const url of ["/%", "/%2", "/a%zz", "/%FF", "/%C3", "/%ED%A0%80", "/%C0%80", "/a#b"]) {
    assert.throws(() => keyOf(url), { code: "invalid_key" }, url);
  }
});

test("the parts of a request target are told apart as they were sent", () => {
  assert.equal(pathOf("/a%2Fb/versions?limit=1"), "/a%2Fb/versions");
  assert.equal(pathOf("http://example.org"), "/");
  assert.equal(keySegment("/a%2Fb/versions?limit=1"), "a%2Fb");
  assert.equal(secondSegment("/a%2Fb/%31?x=/"), "1");
  assert.equal(secondSegment("/a/"), "");
});

test("a version is a canonical positive integer", () => {
  assert.equal(parseVersion("1"), 1);
  assert.equal(parseVersion("9007199254740991"), Number.MAX_SAFE_INTEGER);
  for (const text of [
    "0",
    "01",
    "+1",
    "-1",
    "1.0",
    "1e3",
    " 1",
    "1 ",
    "",
    "x",
    "9007199254740992",
  ]) {
    assert.equal(parseVersion(text), undefined, text);
  }
});
