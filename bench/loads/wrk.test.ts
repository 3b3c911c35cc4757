import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { removeFolder, temporaryFolder } from "../../test/servers/process.ts";
import { versionFault } from "./measure.ts";
import { get, put, toBytes } from "./wire.ts";
import { faultOf, parseWrkOutput, writePool } from "./wrk.ts";

const LINE =
  'RESULT {"requests":1200,"durationUs":1000000,"bytes":9000,"connectErrors":0,"readErrors":0,' +
  '"writeErrors":0,"statusErrors":0,"timeouts":0,"p50Us":410,"p99Us":1310,"p999Us":2200,"maxUs":9000}';

test("wrk's numbers are read from between its own lines", () => {
  const result = parseWrkOutput(`Running 1s test\n  Thread Stats\n\n${LINE}\nmore\n`);
  assert.equal(result.requests, 1200);
  assert.equal(result.p50Us, 410);
  assert.equal(result.p99Us, 1310);
  assert.equal(result.p999Us, 2200);
});

test("an output without a result, or with a number missing, is an error", () => {
  assert.throws(() => parseWrkOutput("Running 1s test\n"), /no result/);
  assert.throws(() => parseWrkOutput(LINE.replace('"p99Us":1310,', "")), /no p99Us/);
});

test("any answer above 399, broken connection or silence is a fault", () => {
  const clean = { ...parseWrkOutput(LINE), generatorCpuUs: 0 };
  assert.equal(faultOf(clean), undefined);
  assert.equal(faultOf({ ...clean, statusErrors: 3 }), "3 answers above 399");
  assert.equal(faultOf({ ...clean, readErrors: 1, timeouts: 2 }), "1 failed reads, 2 timeouts");
  assert.equal(faultOf({ ...clean, requests: 0 }), "no answers at all");
});

test("answered PUTs that left no version are found out, and versions that nobody asked for", () => {
  assert.equal(versionFault({ made: 1000, answered: 1000, connections: 64 }), undefined);
  assert.equal(versionFault({ made: 1060, answered: 1000, connections: 64 }), undefined);
  assert.match(versionFault({ made: 999, answered: 1000, connections: 64 }) ?? "", /only 999/);
  assert.match(versionFault({ made: 2000, answered: 1000, connections: 64 }) ?? "", /2000/);
});

test("a pool holds each request with its length in bytes", async () => {
  const folder = await temporaryFolder("bench-pool");
  try {
    const file = join(folder, "requests");
    const requests = [get("/a"), put("/b", "ä\n")];
    await writePool(file, requests, 80);
    const first = toBytes(requests[0]!, 80);
    const second = toBytes(requests[1]!, 80);
    assert.equal(
      await readFile(file, "latin1"),
      `${first.length}\n${first.toString("latin1")}${second.length}\n${second.toString("latin1")}`,
    );
    assert.match(second.toString(), /Content-Length: 3\r\n\r\nä\n$/);
  } finally {
    await removeFolder(folder);
  }
});
