import assert from "node:assert/strict";
import { test } from "node:test";

import { choice, flag, integer, moment, optional, queryParser, text } from "./query.ts";

const parse = queryParser({
  cas: optional(integer(0, 100, "A number.")),
  message: optional(text(5, "A text.")),
  raw: optional(flag("A flag.")),
  at: optional(moment("A time.")),
  format: optional(choice(["a", "b"], "A word.")),
});

test("parameters are decoded and converted by their schema", () => {
  assert.deepEqual(parse("/k"), {});
  assert.deepEqual(parse("/k?"), {});
  assert.deepEqual(parse("/k?&&"), {});
  assert.deepEqual(parse("/k?cas=0&message=%C3%A9+%2B%26&raw"), {
    cas: 0,
    message: "é +&",
    raw: true,
  });
  assert.deepEqual(parse("/k?raw=false&format=b"), { raw: false, format: "b" });
  assert.deepEqual(parse("/k?message="), { message: "" });
  assert.deepEqual(parse("/k?message=a=b"), { message: "a=b" });
});

test("an unknown parameter is refused by name, whatever objects inherit", () => {
  for (const name of ["csa", "__proto__", "constructor", "toString", "Cas", "cas%20", "%C3%A9"]) {
    const parameter = decodeURIComponent(name);
    assert.throws(
      () => parse(`/k?${name}=1`),
      { code: "unknown_parameter", details: { parameter } },
      name,
    );
  }
});

test("what is not legal is refused by name", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["cas=", "cas"],
    ["cas=-1", "cas"],
    ["cas=01", "cas"],
    ["cas=1.5", "cas"],
    ["cas=101", "cas"],
    ["cas=1e1", "cas"],
    ["cas=99999999999999999999", "cas"],
    ["cas=1&cas=1", "cas"],
    ["message=toolong", "message"],
    ["message=%00", "message"],
    ["message=%FF", "message"],
    ["message=%", "message"],
    ["raw=yes", "raw"],
    ["at=yesterday", "at"],
    ["format=c", "format"],
  ];
  for (const [query, parameter] of cases) {
    assert.throws(
      () => parse(`/k?${query}`),
      { code: "invalid_parameter", details: { parameter } },
      query,
    );
  }
});

test("a parameter that must be there is asked for by name", () => {
  const strict = queryParser({ at: moment("A time.") });
  assert.throws(() => strict("/k"), { message: '"at" is missing.', details: { parameter: "at" } });
});
