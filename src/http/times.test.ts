import assert from "node:assert/strict";
import { test } from "node:test";

import { parseHttpDate, parseRfc3339, toHttpDate, toRfc3339 } from "./times.ts";

const TIME = Date.UTC(2026, 10, 21, 10, 0, 0, 250);

test("times are written as JSON and headers have them", () => {
  assert.equal(toRfc3339(TIME), "2026-11-21T10:00:00.250Z");
  assert.equal(toHttpDate(TIME), "Sat, 21 Nov 2026 10:00:00 GMT");
});

test("RFC 3339 times are read in every legal form", () => {
  assert.equal(parseRfc3339("2026-11-21T10:00:00.250Z"), TIME);
  assert.equal(parseRfc3339("2026-11-21T10:00:00.250999Z"), TIME);
  assert.equal(parseRfc3339("2026-11-21t11:00:00.25+01:00"), TIME);
  assert.equal(parseRfc3339("2026-11-21 09:30:00.25-00:30"), TIME);
  assert.equal(parseRfc3339("2026-11-21T11:00:00.25 01:00"), TIME, "an unescaped + in a query");
  assert.equal(parseRfc3339("2024-02-29T00:00:00Z"), Date.UTC(2024, 1, 29));
});

test("what is no time is refused", () => {
  const cases = [
    "",
    "now",
    "1700000000000",
    "2026-11-21",
    "2026-11-21T10:00:00",
    "2026-02-31T10:00:00Z",
    "2026-13-01T10:00:00Z",
    "2026-11-21T25:00:00Z",
    "2026-11-21T10:00Z",
    "20261121T100000Z",
  ];
  for (const text of cases) assert.equal(parseRfc3339(text), undefined, text);
});

test("HTTP dates are read in the one form that senders may make", () => {
  assert.equal(parseHttpDate("Sat, 21 Nov 2026 10:00:00 GMT"), TIME - 250);
  for (const text of [
    "",
    "2026-11-21T10:00:00Z",
    "Sun, 21 Nov 2026 10:00:00 GMT",
    "Sat, 31 Nov 2026 10:00:00 GMT",
    "Saturday, 21-Nov-26 10:00:00 GMT",
    "Sat Nov 21 10:00:00 2026",
    "Sat, 21 Nov 2026 10:00:00 CET",
  ]) {
    assert.equal(parseHttpDate(text), undefined, text);
  }
});
