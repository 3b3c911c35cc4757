import assert from "node:assert/strict";
import { test } from "node:test";

import { isDeeperThan } from "./json-depth.ts";

function isDeeper(text: string, depthMax: number): boolean {
  return isDeeperThan(Buffer.from(text), depthMax);
}

test("arrays and objects count alike, and what has ended no longer", () => {
  assert.equal(isDeeper('{"put":[{"key":"k"},{"key":"l"}]}', 3), false);
  assert.equal(isDeeper('{"put":[{"key":"k"},{"key":"l"}]}', 2), true);
  assert.equal(isDeeper("[[],[],{},[{}]]", 3), false);
  assert.equal(isDeeper("[[[[]]]]", 3), true);
  assert.equal(isDeeper("", 0), false);
});

test("what stands in strings does not count", () => {
  assert.equal(isDeeper('["[[[[{{{{"]', 1), false);
  assert.equal(isDeeper(String.raw`["\"[[[[", "\\"]`, 1), false);
  assert.equal(isDeeper(String.raw`["\\", [[]]]`, 2), true);
  assert.equal(isDeeper('["[[[[', 1), false, "a string that never ends");
  assert.equal(isDeeper('["\\', 1), false, "an escape that never ends");
  assert.equal(isDeeper('{"ⵛ": "ⵛⵝ｛", "a": [1]}', 2), false);
});
