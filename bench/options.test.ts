import assert from "node:assert/strict";
import { test } from "node:test";
import { isWhole, OptionsError, parseOptions } from "./options.ts";
import { planCells, planMatrix } from "./plan.ts";

test("without options every store and load is measured, and growth is left out", () => {
  const options = parseOptions([]);
  assert.deepEqual(options.stores, ["memory", "sqlite", "redis", "mariadb", "mongodb"]);
  assert.deepEqual(options.extras, ["peers", "watch"]);
  const shapes = planCells(options).map((cell) => [cell.load, cell.connections, cell.rounds]);
  assert.deepEqual(shapes.slice(0, 4), [
    ["get", 64, 3],
    ["get", 1, 2],
    ["put", 64, 3],
    ["put", 1, 2],
  ]);
  assert.equal(shapes.length, 9);
});

test("--only and --stores narrow, and mysql means mariadb", () => {
  const options = parseOptions(["--only", "put", "--stores", "redis,mysql", "--seconds", "5"]);
  assert.deepEqual(options.loads, ["put"]);
  assert.deepEqual(options.extras, []);
  assert.deepEqual(options.stores, ["redis", "mariadb"]);
  assert.equal(options.seconds, 5);
});

test("given sizes and connections are measured for every load that is asked for", () => {
  const options = parseOptions(["--only", "hot", "--connections", "1,16", "--sizes", "100,1024"]);
  assert.deepEqual(
    planCells(options).map((cell) => [cell.connections, cell.valueBytes]),
    [
      [1, 100],
      [1, 1024],
      [16, 100],
      [16, 1024],
    ],
  );
});

test("loads and matrix together have GET and PUT at every size and number of connections, once", () => {
  const options = parseOptions([]);
  const cells = [...planCells(options), ...planMatrix(options)];
  for (const load of ["get", "put"]) {
    const shapes = cells
      .filter((cell) => cell.load === load)
      .map((cell) => `${cell.connections}x${cell.valueBytes}`);
    assert.equal(shapes.length, 12);
    assert.equal(new Set(shapes).size, 12);
  }
});

test("the page takes a run of all but growth, or a whole part, and nothing narrower", () => {
  const whole = (...args: string[]): boolean => isWhole(parseOptions(args));
  assert.ok(whole());
  assert.ok(whole("--rounds", "1"));
  assert.ok(whole("--only", "growth"));
  assert.ok(whole("--only", "watch"));
  assert.ok(whole("--only", "matrix,workers"));
  assert.ok(!whole("--only", "put"));
  assert.ok(!whole("--only", "growth,put"));
  assert.ok(!whole("--only", "growth", "--stores", "redis"));
  assert.ok(!whole("--sizes", "1024"));
});

test("one or two revisions can be compared", () => {
  assert.deepEqual(parseOptions(["--compare", "HEAD~1"]).compare, ["HEAD~1"]);
  assert.deepEqual(parseOptions(["--compare", "v1", "v2"]).compare, ["v1", "v2"]);
});

test("what is not known is refused with what is", () => {
  assert.throws(() => parseOptions(["--only", "pat"]), /takes get, put.*not "pat"/);
  assert.throws(() => parseOptions(["--stores", ""]), OptionsError);
  assert.throws(() => parseOptions(["--seconds", "0.5"]), /whole numbers/);
  assert.throws(() => parseOptions(["--frob"]), OptionsError);
  assert.throws(() => parseOptions(["put"]), /Unexpected argument "put"/);
  assert.throws(() => parseOptions(["--compare", "a", "b", "c"]), /Unexpected argument "c"/);
});
