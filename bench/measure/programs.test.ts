import assert from "node:assert/strict";
import { test } from "node:test";
import { parseOptions } from "../options.ts";
import { missingPrograms, programsFor } from "./programs.ts";

test("a narrow run needs no more than it uses", () => {
  assert.deepEqual(programsFor(parseOptions(["--stores", "memory", "--only", "get"])), ["wrk"]);
  assert.deepEqual(programsFor(parseOptions(["--stores", "redis", "--compare", "HEAD"])), [
    "wrk",
    "redis-server",
  ]);
  assert.equal(programsFor(parseOptions([])).length, 6);
});

test("what is missing is told with the packages that bring it", async () => {
  assert.equal(await missingPrograms([], "/nowhere"), undefined);
  const told = await missingPrograms(["wrk", "etcd"], "/nowhere");
  assert.match(told ?? "", /^wrk, etcd are not on the PATH.*apt-get install wrk etcd-server/);
});
