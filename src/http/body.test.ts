import assert from "node:assert/strict";
import { test } from "node:test";

import { usefulContentType } from "./body.ts";

test("a media type is kept as it was sent", () => {
  for (const type of [
    "text/plain",
    "application/json; charset=utf-8",
    'multipart/form-data; boundary="a b"',
    "Application/LD+JSON",
    "image/svg+xml",
    "text/x.y;a=b; c=d",
  ]) {
    assert.equal(usefulContentType(type), type);
  }
});

test("what says nothing of the value is not kept", () => {
  for (const type of [
    undefined,
    "",
    "text",
    "text/",
    "/plain",
    "text/plain/x",
    "text plain",
    "application/x-www-form-urlencoded",
    "Application/X-WWW-Form-URLEncoded; charset=utf-8",
    "text/plain; é",
    `text/${"x".repeat(256)}`,
  ]) {
    assert.equal(usefulContentType(type), undefined, type);
  }
});
