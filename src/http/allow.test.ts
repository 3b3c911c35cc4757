import assert from "node:assert/strict";
import { test } from "node:test";

import { methodsAt } from "./allow.ts";
import { ROUTES } from "./routes/index.ts";

test("a path's methods are those of its most specific route", () => {
  const cases: readonly (readonly [string, readonly string[] | undefined])[] = [
    ["/", ["GET", "HEAD"]],
    ["/k", ["PUT", "GET", "HEAD", "DELETE"]],
    ["/a%2Fb?x", ["PUT", "GET", "HEAD", "DELETE"]],
    ["/k/1", ["GET", "HEAD"]],
    ["/k/nonsense", ["GET", "HEAD"]],
    ["/k/restore", ["POST"]],
    ["/k/versions", ["GET", "HEAD"]],
    ["/-/transactions", ["POST"]],
    ["/-/keys", ["GET", "HEAD"]],
    ["/-/nonsense", undefined],
    ["/-", undefined],
    ["/k/", undefined],
    ["//1", undefined],
    ["/k/1/2", undefined],
    ["*", undefined],
  ];
  for (const [url, methods] of cases) assert.deepEqual(methodsAt(ROUTES, url), methods, url);
});
