import assert from "node:assert/strict";
import { test } from "node:test";
import { maskSecrets, redactUrl, secretsOf } from "./redact.ts";

test("passwords in store URLs are masked, and all else is kept", () => {
  const cases = [
    ["memory:", "memory:"],
    ["sqlite:./data/state.db", "sqlite:./data/state.db"],
    ["redis://127.0.0.1:6379/0?prefix=a", "redis://127.0.0.1:6379/0?prefix=a"],
    ["redis://:hunter2@db:6379", "redis://:***@db:6379"],
    ["mysql://app:hunter2@db/state?ssl=1", "mysql://app:***@db/state?ssl=1"],
    ["mongodb://app@db1,db2/state", "mongodb://app@db1,db2/state"],
    ["mongodb://app:p%40ss@db1,db2/state", "mongodb://app:***@db1,db2/state"],
    ["mysql://app:p@ss/w:rd@db/state", "mysql://app:***@db/state"],
    [
      "redis-sentinel://s1,s2/?sentinelPassword=x1x1&name=a",
      "redis-sentinel://s1,s2/?sentinelPassword=***&name=a",
    ],
    ["--store=redis://:hunter2@db", "--store=redis://:***@db"],
  ] as const;
  for (const [url, shown] of cases) assert.equal(redactUrl(url), shown);
});

test("secrets are found in both spellings and masked in texts of others", () => {
  const secrets = secretsOf("mongodb://app:p%40ss-word@db/state?proxyPassword=other");
  assert.deepEqual([...secrets].toSorted(), ["other", "p%40ss-word", "p@ss-word"]);
  assert.equal(
    maskSecrets("cannot parse mongodb://app:p%40ss-word@db, p@ss-word", secrets),
    "cannot parse mongodb://app:***@db, ***",
  );
  assert.deepEqual(secretsOf("redis://127.0.0.1:6379"), []);
});
