import assert from "node:assert/strict";
import { test } from "node:test";

import { open } from "../../index.ts";
import { Differ } from "./diff.ts";

test("a text diff is unified and names both versions", async () => {
  const state = await open("memory:");
  await state.put("notes", "one\ntwo\n");
  await state.put("notes", "one\nthree\n");
  const diff = await state.diff("notes", { from: { version: 1 } });
  assert.equal(diff?.kind, "text");
  assert.match(
    diff.body,
    /^--- notes\/1\n\+\+\+ notes\/2\n@@ -1,2 \+1,2 @@\n one\n-two\n\+three\n$/m,
  );
  await state.close();
});

test("JSON values give a patch that turns one into the other; other values say why not", async () => {
  const state = await open("memory:");
  await state.put("j", '{"a":1,"b":[1,2]}');
  await state.put("j", '{"a":2,"b":[1,2,3]}');
  await state.put("j", "not json");
  const options = { from: { version: 1 }, to: { version: 2 }, format: "json-patch" } as const;
  const diff = await state.diff("j", options);
  assert.deepEqual(JSON.parse(diff?.body ?? ""), [
    { op: "replace", path: "/a", value: 2 },
    { op: "add", path: "/b/-", value: 3 },
  ]);
  await assert.rejects(state.diff("j", { ...options, to: { version: 3 } }), {
    code: "diff_unsupported",
    message: /j\/3 is not JSON/,
  });
  await state.close();
});

test("values that are not UTF-8 are compared by size and digest alone", async () => {
  const state = await open("memory:");
  await state.put("b", new Uint8Array([0xff, 0]));
  await state.put("b", new Uint8Array([0xff, 1, 2]));
  const diff = await state.diff("b", { from: { version: 1 } });
  assert.deepEqual([diff?.kind, diff?.body, diff?.from.size, diff?.to.size], ["binary", "", 2, 3]);
  assert.notEqual(diff?.from.digest, diff?.to.digest);
  await state.close();
});

test("large versions that differ little are compared in a worker", async () => {
  // Long enough for a thread to start, however busy the machine is.
  const state = await open("memory:", { timeoutMs: 60_000 });
  const lines = Array.from({ length: 60_000 }, (_, index) => `line ${index}`);
  await state.put("k", lines.join("\n"));
  await state.put("k", [...lines.slice(0, 50_000), "changed", ...lines.slice(50_000)].join("\n"));
  const diff = await state.diff("k", { from: { version: 1 }, to: { version: 2 } });
  assert.match(diff?.body ?? "", /^\+changed$/m);
  await state.close();
});

test("large versions are compared beside the event loop, and give up at the deadline", async () => {
  const state = await open("memory:", { timeoutMs: 1_500 });
  const lines = Array.from({ length: 60_000 }, (_, index) => `line ${index}`);
  await state.put("k", lines.join("\n"));
  await state.put(
    "k",
    lines
      .map((line) => `${Math.sin(line.length)}${line}!`)
      .toReversed()
      .join("\n"),
  );
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 5);
  // Once is enough, unless the whole process was held up for as long as that took.
  for (let round = 0; round < 5 && turns <= 20; round += 1) {
    await assert.rejects(state.diff("k", { from: { version: 1 } }), {
      code: "diff_unsupported",
      message: /differ too much/,
    });
  }
  clearInterval(timer);
  assert.ok(turns > 20, `the event loop went on, ${turns} turns`);
  await state.close();
});

test("JSON that is nested deeply costs no more than the deadline, however small it is", async () => {
  const state = await open("memory:", { timeoutMs: 2_000 });
  const patch = { from: { version: 1 }, format: "json-patch" } as const;
  // Arrays cost twice as much with every level; objects take the stack.
  const shapes: readonly (readonly [string, string, number])[] = [
    ["[", "]", 60],
    ["[", "]", 100_000],
    ['{"a":', "}", 100_000],
  ];
  for (const [opening, close, depth] of shapes) {
    const key = `${close}${depth}`;
    for (const core of ["1", "2"]) {
      await state.put(key, opening.repeat(depth) + core + close.repeat(depth));
    }
    const startedAt = performance.now();
    await assert.rejects(state.diff(key, patch), { code: "diff_unsupported" }, key);
    assert.ok(performance.now() - startedAt < 30_000, key);
  }
  await state.close();
});

test("a small pair that is not compared within 3 ms is left to a worker", async () => {
  let ms = -1;
  const clock = { now: () => 0, monotonic: () => (ms += 1) };
  const toEntry = (core: string): never =>
    ({ version: 1, value: Buffer.from(`${"[".repeat(8)}${core}${"]".repeat(8)}`) }) as never;
  const differ = new Differ(60_000, clock);
  const pair = [toEntry("1"), toEntry("2")] as const;
  const { kind } = await differ.diff("k", pair, { from: { version: 1 }, format: "json-patch" });
  assert.equal(kind, "json-patch");
  assert.equal(ms, 4);
});

test("long arrays that have nothing in common are compared in bounded memory", async () => {
  const state = await open("memory:", { timeoutMs: 2_000 });
  const numbers = Array.from({ length: 3_000 }, (_, index) => index);
  await state.put("long", JSON.stringify(numbers));
  await state.put("long", JSON.stringify(numbers.map((number) => -number - 1)));
  const patch = { from: { version: 1 }, format: "json-patch" } as const;
  await assert.rejects(state.diff("long", patch), { code: "diff_unsupported" });
  await state.close();
});
