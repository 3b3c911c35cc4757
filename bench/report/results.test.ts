import assert from "node:assert/strict";
import { test } from "node:test";
import type { Round } from "../loads/measure.ts";
import { findCell, median, toCell } from "./results.ts";

const NAME = {
  group: "redis",
  contender: "ours",
  load: "put",
  connections: 64,
  valueBytes: 100,
} as const;

function round(requests: number, change: Partial<Round> = {}): Round {
  const result = {
    requests,
    durationUs: 2_000_000,
    bytes: 0,
    connectErrors: 0,
    readErrors: 0,
    writeErrors: 0,
    statusErrors: 0,
    timeouts: 0,
    p50Us: requests / 10,
    p99Us: requests,
    p999Us: requests * 2,
    maxUs: 0,
    generatorCpuUs: 500_000,
  };
  const cpu = { cpuUs: 1_000_000, allCpuUs: 2_000_000 };
  const rest = { peakBytes: 2 ** 20, bodiesChecked: 10, fault: undefined };
  return { result, ...cpu, ...rest, ...change };
}

test("the median of an even number of values lies between the two in the middle", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([1, 9, 5, 4]), 4.5);
  assert.throws(() => median([]));
});

test("a share is taken round by round, so that a slow second of the machine cancels out", () => {
  const cell = toCell(NAME, [round(1000), round(200), round(1200)], [1000, 200, 1200]);
  assert.equal(cell.rate, 500);
  assert.equal(cell.share, 0.5);
  assert.equal(cell.p50Us, 100);
  assert.equal(cell.p99Us, 1000);
});

test("processor time is counted for a million requests, the peak is the highest", () => {
  const cell = toCell(NAME, [round(1000), round(1000, { peakBytes: 3 * 2 ** 20 })], [1, 1]);
  assert.equal(cell.cpuSecondsPerMillion, 1000);
  assert.equal(cell.peakMiB, 3);
  assert.equal(cell.generatorShare, 0.25);
  assert.equal(cell.bodiesChecked, 20);
});

test("the same fault in several rounds is told once", () => {
  const wrong = round(10, { fault: "3 timeouts" });
  assert.deepEqual(toCell(NAME, [wrong, round(10), wrong], [1, 1, 1]).faults, ["3 timeouts"]);
});

test("a cell is found by what it is of", () => {
  const cells = [toCell(NAME, [round(10)], [1])];
  assert.equal(findCell(cells, { load: "put", contender: "ours" }), cells[0]);
  assert.equal(findCell(cells, { load: "get" }), undefined);
});
