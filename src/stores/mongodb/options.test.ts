import assert from "node:assert/strict";
import { test } from "node:test";
import { StateError } from "../../errors.ts";
import { parseMongodbUrl } from "./options.ts";

function refusalOf(url: string): StateError {
  try {
    parseMongodbUrl(url);
  } catch (error) {
    assert.ok(error instanceof StateError, String(error));
    assert.equal(error.code, "invalid_parameter");
    return error;
  }
  assert.fail("the URL was taken");
}

test("the driver gets its own parameters, and not those of the store", () => {
  const options = parseMongodbUrl(
    "mongodb://u:p%40ss@h1:1,h2:2/db?prefix=app&replicaSet=rs0&maxPoolSize=7&readConcernLevel=majority",
  );
  assert.equal(options.driverUrl, "mongodb://u:p%40ss@h1:1,h2:2/db?replicaSet=rs0&maxPoolSize=7");
  assert.deepEqual([...options.driverParameters], ["replicaset", "maxpoolsize"]);
  assert.deepEqual(
    [options.scheme, options.database, options.prefix, options.readConcern],
    ["mongodb", "db", "app", "majority"],
  );
});

test("the database is vss and there is no prefix, unless told otherwise", () => {
  for (const url of [
    "mongodb://localhost",
    "mongodb://localhost/",
    "mongodb://localhost:1/?w=majority",
  ]) {
    const { database, prefix } = parseMongodbUrl(url);
    assert.deepEqual([database, prefix], ["vss", ""]);
  }
});

test("a parameter that the driver does not know is named", () => {
  const refusal = refusalOf("mongodb://u:secret@h/?maxPoolSize=5&maxPulSize=6");
  assert.match(refusal.message, /"maxPulSize"/);
  assert.equal(refusal.details["parameter"], "maxPulSize");
});

test("parameters that would weaken the promise are refused with the reason", () => {
  for (const [parameter, value] of [
    ["w", "1"],
    ["journal", "false"],
    ["readPreference", "secondary"],
    ["readConcernLevel", "local"],
  ] as const) {
    const refusal = refusalOf(`mongodb://h/?${parameter}=${value}`);
    assert.equal(refusal.details["parameter"], parameter);
  }
  assert.equal(
    parseMongodbUrl("mongodb://h/?w=majority&journal=true&readConcernLevel=linearizable")
      .readConcern,
    "linearizable",
  );
});

test("no refusal repeats a password", () => {
  for (const url of [
    "mongodb://u:secret@/db",
    "mongodb://u:se/cret@h",
    "mongodb://u:secret@h:99999/",
    "mongodb://u:secret@h/a/b",
    "mongodb://u:secret@h/?prefix=a/b",
    "mongodb://u:secret@h/?prefix=a&prefix=b",
    "mongodb://u:secret%zz@h/",
    "mongodb://u:secret@h/?authMechanism=none",
    "mongodb:",
  ]) {
    assert.ok(!refusalOf(url).message.includes("secret"), url);
  }
});
