import assert from "node:assert/strict";
import { test } from "node:test";
import type { Contender } from "../peers/contender.ts";
import { OUR_SURFACE } from "../peers/ours.ts";
import { keysOfHistories, pick, prepareHistories, prepareKeys } from "./growth-loads.ts";
import { GROWTH_SIZES } from "./growth.ts";
import type { PrepareLoad } from "./load.ts";
import { WireClient } from "./wire.ts";

/** Keeps nothing, so that nothing is sent to prepare it. */
const NOBODY: Contender = {
  name: "bare",
  port: 1,
  pid: 1,
  surface: { ...OUR_SURFACE, isCanned: true },
  stop: async () => {},
};

async function pathsOf(prepare: PrepareLoad): Promise<ReadonlySet<string>> {
  const client = new WireClient(NOBODY.port, 1);
  const load = await prepare({ contender: NOBODY, client, valueBytes: 100, random: Math.random });
  return new Set(load?.requests.map(({ path }) => path));
}

test("as many different requests are sent at each number of versions", async () => {
  for (const [operation, count] of [
    ["get", 1],
    ["version", 5_000],
    ["history", 500],
    ["put", 1],
  ] as const) {
    for (const size of GROWTH_SIZES.versions) {
      const paths = await pathsOf(prepareHistories(operation, size, ""));
      assert.equal(paths.size, count, `${operation} at ${size}`);
    }
  }
});

test("as many different pages are listed at each number of keys, and as many keys where there are", async () => {
  for (const size of GROWTH_SIZES.keys) {
    assert.equal((await pathsOf(prepareKeys("list", size))).size, 10);
    assert.equal((await pathsOf(prepareKeys("get", size))).size, Math.min(size, 5_000));
  }
});

test("versions and pages that are asked for are there, in every short history and in a long one", async () => {
  const short = await pathsOf(prepareHistories("version", 10, ""));
  const keys = keysOfHistories(10);
  const all = keys.flatMap((key) => Array.from({ length: 10 }, (_, at) => `/${key}/${at + 1}`));
  assert.deepEqual([...short].toSorted(), all.toSorted());
  const pages = await pathsOf(prepareHistories("history", 10, ""));
  assert.ok(pages.has(`/${keys[0]}/versions?limit=10&before=11`));
  for (const path of await pathsOf(prepareHistories("history", 10_000, ""))) {
    const before = Number(/^\/one-10000\/versions\?limit=10&before=(\d+)$/.exec(path)?.[1]);
    assert.ok(before >= 11 && before <= 10_001, path);
  }
});

test("numbers are picked without one twice, and all where there are no more", () => {
  assert.deepEqual(pick(5, 3, Math.random), [0, 1, 2]);
  const picked = pick(50, 60, Math.random);
  assert.equal(new Set(picked).size, 50);
  assert.ok(picked.every((number) => number >= 0 && number < 60));
});
