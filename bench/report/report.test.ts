import assert from "node:assert/strict";
import { test } from "node:test";
import { comparisonRow } from "../compare.ts";
import type { DeleteRow } from "../loads/delete.ts";
import type { GrowthRow } from "../loads/growth.ts";
import { percentile, type WatchRow } from "../loads/watch.ts";
import { rotated } from "../measure/run-cells.ts";
import { commandOf, type RunInfo } from "../measure/run-info.ts";
import { againstTable } from "./against.ts";
import { chartsOf, toSvg } from "./charts.ts";
import { growthCpuTable, judgeGrowth } from "./growth-tables.ts";
import { renderPage } from "./page.ts";
import { EMPTY_RESULT, mergeResults, type BenchResult } from "./result-file.ts";
import type { Cell } from "./results.ts";
import { summarize } from "./summary.ts";
import { formatCount, formatMs, toMarkdown, toText } from "./table.ts";
import { judgeTargets } from "./targets.ts";

const CELL: Cell = {
  group: "mariadb",
  contender: "ours",
  load: "put",
  connections: 64,
  valueBytes: 100,
  rate: 5000,
  rates: [5000, 6000],
  share: 0.5,
  p50Us: 1000,
  p99Us: 3900,
  p999Us: 8000,
  cpuSecondsPerMillion: 100,
  peakMiB: 150,
  generatorShare: 0.2,
  requests: 10_000,
  bodiesChecked: 40,
  faults: [],
};
const NAIVE: Cell = { ...CELL, contender: "naive", rate: 1000, rates: [1000, 2000], share: 0.1 };
const ETCD: Cell = {
  ...CELL,
  group: "peers",
  contender: "etcd",
  share: 0.2,
  faults: ["2 timeouts"],
};
const ONE: Cell = { ...CELL, connections: 1, p50Us: 106 };
const NAIVE_ONE: Cell = { ...NAIVE, connections: 1, p50Us: 100 };
const CELLS = [CELL, NAIVE, ETCD, ONE, NAIVE_ONE];

const RUN: RunInfo = {
  command: "npm run bench",
  date: "2026-11-22 10:00",
  commit: "abc",
  processor: "some processor",
  cores: 2,
  memoryGiB: 8,
  kernel: "6",
  loadBefore: 0.1,
  seconds: 1,
  rounds: 2,
  versions: { wrk: "4.1.0" },
  groups: [{ name: "mariadb", product: "MariaDB 10", settings: "flushed", promise: "Survives." }],
};
const GROWTH: readonly GrowthRow[] = [1_000, 100_000].map((size) => ({
  group: "mariadb",
  axis: "keys",
  size,
  operation: "get",
  rate: 100_000_000 / size,
  share: size === 1_000 ? 0.8 : 0.4,
  slower: size === 1_000 ? undefined : 2,
  cpuUs: size / 100,
  p50Us: 1,
  p99Us: 2,
  peakMiB: 120,
  bytesPerVersion: size === 1_000 ? undefined : 250,
}));
const DELETED: DeleteRow = {
  group: "mariadb",
  versions: 1_000_000,
  deleteUs: 5000,
  p99Us: 4000,
  maxUs: 101_000,
  maxBeforeUs: 9000,
};
const WATCH: WatchRow = {
  group: "mariadb",
  watchers: 1000,
  writes: 20,
  p50Us: 9000,
  p99Us: 20_000,
  putP50Us: 2000,
  kibPerWatcher: 11.5,
};
const RESULT: BenchResult = {
  ...EMPTY_RESULT,
  loads: { run: RUN, rows: CELLS },
  watch: { run: RUN, rows: [WATCH, { ...WATCH, watchers: 2000 }] },
  deletes: { run: RUN, rows: [DELETED] },
  growth: { run: RUN, rows: GROWTH },
};

test("targets are judged from the cells, and each says what it compared", () => {
  const judged = judgeTargets(CELLS);
  const find = (what: string) => judged.find((target) => target.what === what);
  assert.equal(find("PUT, 1,000 keys: share of the bare server")?.isMet, true);
  // The rounds' ratios are 5 and 3.
  const naive = find("PUT, 1,000 keys: times the naive server");
  assert.deepEqual([naive?.measured, naive?.isMet], [4, true]);
  const etcd = find("PUT, 1,000 keys: times etcd's gateway");
  assert.deepEqual([etcd?.measured, etcd?.isMet], [2.5, true]);
  assert.equal(find("PUT, 1,000 keys: p99 over p50")?.isMet, true);
  const alone = find("PUT, 1,000 keys, one connection: p50 over the naive server's");
  assert.deepEqual([alone?.measured, alone?.isMet], [1.06, false]);
  assert.equal(find("GET latest: share of the bare server"), undefined);
});

test("a target just missed is missed", () => {
  const judged = judgeTargets([{ ...CELL, share: 0.399, p99Us: 4000 }]);
  assert.deepEqual(
    judged.map(({ isMet }) => isMet),
    [false, false],
  );
});

test("a share that nothing but noise can make is no target met", () => {
  const [target] = judgeTargets([{ ...CELL, share: 1.2 }]);
  assert.deepEqual([target?.isMet, target?.isDisturbed], [false, true]);
  const disturbed = { run: RUN, rows: [{ ...CELL, share: 1.2 }] };
  assert.match(renderPage({ ...EMPTY_RESULT, loads: disturbed }, []), /\*\*disturbed\*\*/);
});

test("growth is judged where it is worst, and not where rounds had no other size beside them", () => {
  const [smallest, larger] = GROWTH;
  assert.ok(smallest !== undefined && larger !== undefined);
  const judge = (rows: readonly GrowthRow[]) =>
    judgeGrowth(rows).map(({ measured, isMet }) => [measured, isMet]);
  assert.deepEqual(judge(GROWTH), [[2, false]]);
  assert.deepEqual(judge([smallest, { ...larger, slower: 1.5 }, { ...larger, slower: 0.9 }]), [
    [1.5, true],
  ]);
  assert.deepEqual(judge([smallest]), []);
});

test("processor time is told beside that of the smallest size", () => {
  assert.deepEqual(growthCpuTable(GROWTH, "keys").rows, [
    ["GET latest, mariadb", "10", "1,000 (100.00)"],
  ]);
});

test("a percentile is one of the values, and the hundredth is the greatest", () => {
  const values = Array.from({ length: 200 }, (_, index) => 200 - index);
  assert.equal(percentile(values, 50), 100);
  assert.equal(percentile(values, 99), 198);
  assert.equal(percentile(values, 100), 200);
  assert.equal(percentile([7], 99), 7);
  assert.throws(() => percentile([], 50));
});

test("the page shows every part with its run, what is met, missed and wrong", () => {
  const page = renderPage(RESULT, chartsOf(RESULT));
  assert.match(page, /\| PUT, 1,000 keys \| 5,000 \(0\.50\) \|/);
  assert.match(page, /mariadb: MariaDB 10; flushed\. Survives\./);
  assert.match(page, /times the naive server \| mariadb \| 4\.00 \| 4\.00 \| met \|/);
  assert.match(page, /GET latest: times slower as keys grow \| mariadb \| .* \| \*\*missed\*\* \|/);
  assert.match(page, /peers, etcd, PUT, 1,000 keys, 64 connections: 2 timeouts/);
  assert.match(page, /\| mariadb \| 1,000 \| 9\.00 \| 20\.0 \| 2\.00 \| 11\.5 \|/);
  assert.match(page, /KiB for each of 2,000 watchers \| mariadb \| under 40 \| 11\.50 \| met \|/);
  assert.match(page, /deleted, ms \| mariadb \| at most 100 \| 101\.00 \| \*\*missed\*\* \|/);
  assert.match(page, /!\[.*\]\(charts\/shares\.svg\)/);
  assert.doesNotMatch(page, /busy: do not trust|NaN|undefined/);
  const busy = { ...RESULT, loads: { run: { ...RUN, loadBefore: 3 }, rows: CELLS } };
  assert.match(renderPage(busy, []), /busy: do not trust/);
});

test("two processes are judged where there are cores for them, and told of where not", () => {
  const two: Cell = { ...CELL, contender: "workers", rates: [7500, 9000], share: 0.7 };
  const workers = { run: RUN, rows: [CELL, two] };
  const small = renderPage({ ...EMPTY_RESULT, workers }, []);
  assert.match(small, /\| mariadb: PUT, 1,000 keys \| 5,000 \(0\.50\) \| .* \| 1\.50 \|/);
  assert.match(small, /This machine has 2 cores[^]*\n0 of 0 figures/);
  const large = renderPage(
    { ...EMPTY_RESULT, workers: { ...workers, run: { ...RUN, cores: 4 } } },
    [],
  );
  assert.match(large, /two processes, times one \| mariadb \| 1\.50 \| 1\.50 \| met \|/);
  assert.doesNotMatch(large, /can't be judged/);
});

test("a page of nothing and a summary of nothing hold no figures", () => {
  assert.match(renderPage(EMPTY_RESULT, []), /0 of 0 figures are met/);
  assert.equal(summarize(EMPTY_RESULT), "");
});

test("the summary holds what the page holds", () => {
  const summary = summarize(RESULT);
  assert.match(summary, /mariadb: ours +5,000 +0\.50 +1\.00 +3\.90 +8\.00/);
  assert.match(summary, /What went wrong/);
});

test("every chart that there are figures for can be drawn", async () => {
  const matrix = { run: RUN, rows: [{ ...CELL, connections: 256 }] };
  const charts = chartsOf({ ...RESULT, matrix });
  assert.deepEqual(
    charts.map(({ file }) => file),
    ["shares.svg", "latency.svg", "connections.svg", "watch.svg", "growth.svg"],
  );
  for (const { spec } of charts) assert.match(await toSvg(spec), /^<svg[\s\S]*<\/svg>$/);
});

test("a short run replaces only the parts that it measured", () => {
  const short: BenchResult = {
    ...EMPTY_RESULT,
    loads: { run: { ...RUN, commit: "new" }, rows: [] },
  };
  const merged = mergeResults(RESULT, short);
  assert.equal(merged.loads?.run.commit, "new");
  assert.equal(merged.growth?.run.commit, "abc");
});

test("a comparison takes the median of the rounds' ratios and says what got worse", () => {
  const base = { ...CELL, contender: "base", rates: [5000, 6000, 5000] } as const;
  const ours = { ...CELL, rates: [10_000, 9000, 10_000], peakMiB: 300 };
  const row = comparisonRow([base, ours]);
  assert.deepEqual(row.slice(3, 5), ["2.00", "1.50–2.00"]);
  assert.equal(row.at(-1), "memory by 100 %");
});

test("the command is told without the names of files", () => {
  assert.equal(commandOf([]), "npm run bench");
  assert.equal(commandOf(["--rounds", "1", "--json", "/x/y"]), "npm run bench -- --rounds 1");
});

test("an earlier result is compared cell by cell", () => {
  const now = { ...RESULT, loads: { run: RUN, rows: [{ ...CELL, share: 0.6 }] } };
  assert.deepEqual(againstTable(RESULT, now).rows, [
    ["mariadb, PUT, 1,000 keys, 64 conn., 100 B", "0.50", "0.60", "1.20", "3.90", "3.90"],
  ]);
});

test("every round starts with another contender", () => {
  assert.deepEqual(rotated(["a", "b", "c"], 4), ["b", "c", "a"]);
  assert.deepEqual(rotated([], 4), []);
});

test("tables line up, and numbers keep the digits that mean something", () => {
  const table = { headers: ["", "rate"], rows: [["ours", "12"]] };
  assert.equal(toText(table), "      rate\nours    12");
  assert.equal(toMarkdown(table), "|  | rate |\n| --- | ---: |\n| ours | 12 |");
  assert.equal(formatCount(12_345.6), "12,346");
  assert.deepEqual([1234, 12_345, 1_234_567].map(formatMs), ["1.23", "12.3", "1235"]);
});
