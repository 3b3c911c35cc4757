import assert from "node:assert/strict";
import { test } from "node:test";

import { pickType } from "./accept.ts";

const OFFERS = ["text/plain", "application/json-patch+json", "application/json"] as const;

test("the first offer answers whoever has no wish", () => {
  assert.equal(pickType(undefined, OFFERS), "text/plain");
  assert.equal(pickType("", OFFERS), "text/plain");
  assert.equal(pickType("*/*", OFFERS), "text/plain");
});

test("quality decides, then the order of the offers", () => {
  assert.equal(pickType("application/json", OFFERS), "application/json");
  assert.equal(pickType("Application/JSON-Patch+JSON", OFFERS), "application/json-patch+json");
  assert.equal(pickType("text/plain;q=0.5, application/json", OFFERS), "application/json");
  assert.equal(pickType("application/*", OFFERS), "application/json-patch+json");
  assert.equal(pickType("text/html, */*;q=0.8", OFFERS), "text/plain");
});

test("a more specific range overrules a broader one", () => {
  assert.equal(pickType("*/*, text/plain;q=0", OFFERS), "application/json-patch+json");
  assert.equal(pickType("text/*;q=0.1, */*;q=0.2", ["text/plain", "a/b"]), "a/b");
});

test("nothing is picked where nothing is acceptable", () => {
  assert.equal(pickType("image/png", OFFERS), undefined);
  assert.equal(pickType("text/plain;q=0", OFFERS), undefined);
  assert.equal(pickType("text/plain;q=nonsense", OFFERS), undefined);
});
