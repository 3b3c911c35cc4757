import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { open, StateError, type VersionedState } from "../../index.ts";
import { systemClock } from "../../telemetry/clock.ts";
import { ExportSink } from "./export-sink.ts";
import { ImportSource } from "./import-source.ts";
import { Patience } from "./patience.ts";
import { copyAll, type Source } from "./source.ts";
import { StoreSink } from "./store-sink.ts";
import { StoreSource } from "./store-source.ts";

/** Copies between memory stores, whose state can be looked at and changed in the middle. */
const patience = new Patience(0, systemClock);
const never = new AbortController().signal;

let source: VersionedState;
let target: VersionedState;
let conflicts: string[];

/** A clock of which every look is a millisecond later, so that no two versions are of the same time. */
let now = 1_700_000_000_000;
const clock = { now: () => (now += 1), monotonic: () => performance.now() };

beforeEach(async () => {
  source = await open("memory:", { clock });
  target = await open("memory:", { clock });
  conflicts = [];
});

function sourceOf(state: VersionedState): StoreSource {
  return new StoreSource(state.store, patience);
}

async function copy(
  from: Source,
  options: { readonly intoExisting?: boolean; readonly isEmpty?: boolean } = {},
): Promise<number> {
  let written = 0;
  const sink = new StoreSink(target.store, {
    patience,
    intoExisting: options.intoExisting ?? false,
    isEmpty: options.isEmpty ?? false,
    onWritten: (entries) => (written += entries.length),
    onPresent: () => {},
    onConflict: (key, what) => conflicts.push(`${key}: ${what}`),
    onLeftOut: (key, what) => conflicts.push(`${key}: ${what}`),
  });
  await copyAll(from, sink, never);
  return written;
}

async function exportOf(state: VersionedState): Promise<string> {
  return exportFrom(sourceOf(state));
}

async function exportFrom(from: Source): Promise<string> {
  let text = "";
  const sink = new ExportSink({
    write: (piece) => {
      text += piece;
      return Promise.resolve();
    },
    onWritten: () => {},
    onAbandoned: (key) => assert.fail(`${key} was abandoned`),
  });
  await copyAll(from, sink, never);
  return text;
}

async function* inPieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let start = 0; start < bytes.length; start += size) {
    yield Promise.resolve(bytes.subarray(start, start + size));
  }
}

function importOf(text: string, size = 1_000): ImportSource {
  return new ImportSource(inPieces(text, size));
}

/** Keys, values and metadata of every kind, past every page and batch. */
async function fill(state: VersionedState): Promise<void> {
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  for (const key of ["a", "A", "a ", "é", "e\u0301", "😀", "\uFFFD", "%2F/", "__proto__"]) {
    await state.put(key, key, { author: "Zoë", message: "\n\u2028", contentType: "text/plain" });
    await state.put(key, bytes);
    await state.put(key, "\uFEFFbom\r\n\u0000");
    await state.put(key, "");
  }
  await state.put("gone", "x");
  await state.delete("gone");
  await state.put("again", "x");
  await state.delete("again");
  await state.put("again", "y");
  await Promise.all(Array.from({ length: 1_200 }, (_, n) => state.put(`many/${n}`, `${n}`)));
  for (let n = 0; n < 1_100; n += 1) await state.put("long", `${n}`);
  for (let n = 0; n < 5; n += 1) await state.put("large", new Uint8Array(2_500_000).fill(200 + n));
}

test("a copy has every version with all of its metadata, and so has its export", async () => {
  await fill(source);
  const expected = await exportOf(source);
  const written = await copy(sourceOf(source), { isEmpty: true });
  assert.equal(await exportOf(target), expected);
  assert.equal(written, expected.trimEnd().split("\n").length - 2 - (9 + 1 + 1_200 + 2));
  assert.equal(await copy(sourceOf(source)), 0, "there is nothing left to copy");

  target = await open("memory:");
  await copy(importOf(expected, 100_000), { isEmpty: true });
  assert.equal(await exportOf(target), expected);
});

test("an import does not depend on how its bytes are cut", async () => {
  for (const value of ["é😀\n", "", "a".repeat(50)]) await source.put("ké", value);
  const expected = await exportOf(source);
  for (const size of [1, 2, 7, expected.length]) {
    target = await open("memory:");
    await copy(importOf(expected, size), { isEmpty: true });
    assert.equal(await exportOf(target), expected);
  }
});

test("a history that retention has begun to remove starts where it starts", async () => {
  for (let n = 1; n <= 30; n += 1) await source.put("k", `${n}`);
  const [info] = await source.store.keys({ from: "k", to: undefined, limit: 1 });
  assert.ok(info);
  await source.store.trim(info.key, info.incarnation, 21, 100);
  await copy(sourceOf(source));
  assert.equal(await exportOf(target), await exportOf(source));
  assert.equal((await target.put("k", "31")).version, 31);
});

test("an earlier copy makes room where retention has removed what would follow it", async () => {
  for (let n = 1; n <= 5; n += 1) await source.put("k", `${n}`);
  await copy(importOf(await exportOf(source)));
  for (let n = 6; n <= 12; n += 1) await source.put("k", `${n}`);
  const [info] = await source.store.keys({ from: "k", to: undefined, limit: 1 });
  assert.ok(info);
  await source.store.trim(info.key, info.incarnation, 9, 100);
  await copy(importOf(await exportOf(source)));
  assert.equal(await exportOf(target), await exportOf(source));
  assert.deepEqual(conflicts, []);

  await target.put("k", "target 13");
  await target.put("k", "target 14");
  for (let n = 13; n <= 30; n += 1) await source.put("k", `${n}`);
  await source.store.trim(info.key, info.incarnation, 20, 100);
  const stranger = { createdAt: now + 1_000_000, incarnation: info.incarnation, version: 15 };
  const put = { key: info.key, value: Buffer.from("x"), digest: "0".repeat(64) };
  const metadata = { contentType: undefined, author: undefined, message: undefined };
  await target.store.commit([
    {
      request: undefined,
      incarnation: info.incarnation,
      conditions: [],
      puts: [{ ...put, ...metadata, imported: stranger }],
      deletes: [],
      reads: [],
    },
  ]);
  const text = await exportOf(source);
  await assert.rejects(copy(importOf(text)), /holds something else under the key "k"/);
  await copy(importOf(text), { intoExisting: true });
  assert.equal((await target.head("k"))?.version, 15);
  assert.match(conflicts[0] ?? "", /^k: .*was kept$/);
});

test("a copy goes on where an earlier one was, and where the source has moved on", async () => {
  for (let n = 0; n < 2_000; n += 1) await source.put("long", `${n}`);
  await source.put("other", "x");
  const interrupted = new AbortController();
  const from = sourceOf(source);
  const sink = new StoreSink(target.store, {
    patience,
    intoExisting: false,
    isEmpty: true,
    onWritten: () => interrupted.abort(),
    onPresent: () => {},
    onConflict: () => {},
    onLeftOut: () => {},
  });
  await assert.rejects(copyAll(from, sink, interrupted.signal), { name: "AbortError" });
  const head = await target.head("long");
  assert.ok(head && head.version < 2_000, `interrupted after ${head?.version}`);
  await source.put("other", "y");
  const written = await copy(sourceOf(source));
  assert.equal(await exportOf(target), await exportOf(source));
  assert.equal(written, 2_000 - head.version + 2);
});

test("a target that holds something else is refused, key by key", async () => {
  await source.put("k", "source");
  await target.put("k", "target");
  const isRefused = (error: unknown): boolean =>
    error instanceof StateError && error.code === "invalid_parameter" && /"k"/.test(error.message);
  await assert.rejects(copy(sourceOf(source)), isRefused);
  assert.equal(Buffer.from((await target.get("k"))?.value ?? []).toString(), "target");
});

test("into an existing target, the newer of two histories is kept and each is reported", async () => {
  await target.put("target is older", "target 1");
  await source.put("target is newer", "source 1");
  await source.put("target is older", "source 1");
  await source.put("target is older", "source 2");
  await target.put("target is newer", "target 1");
  await target.put("only target", "x");
  await source.put("only source", "x");
  await copy(sourceOf(source), { intoExisting: true });
  const older = await target.get("target is older");
  assert.deepEqual(older, await source.get("target is older"));
  assert.equal((await target.head("target is newer"))?.version, 1);
  assert.ok(await target.head("only target"));
  assert.ok(await target.head("only source"));
  assert.equal(conflicts.length, 2);
  const [newer, replaced] = conflicts.toSorted();
  assert.match(newer ?? "", /^target is newer: .* is newer .* was kept$/);
  assert.match(replaced ?? "", /^target is older: .* replaced it$/);
});

test("histories that parted ways are seen, and the target's is kept", async () => {
  await source.put("k", "1");
  await copy(sourceOf(source));
  await target.put("k", "target 2");
  await source.put("k", "source 2");
  await source.put("k", "source 3");
  await copy(sourceOf(source), { intoExisting: true });
  assert.equal((await target.head("k"))?.version, 2);
  assert.match(conflicts[0] ?? "", /^k: version 2 differs/);
  await assert.rejects(copy(sourceOf(source)), /holds something else under the key "k"/);
});

test("the same value put on both sides does not join two histories", async () => {
  await source.put("k", "1");
  await copy(sourceOf(source));
  await target.put("k", "2");
  await source.put("k", "2");
  await source.put("k", "3");
  await assert.rejects(copy(sourceOf(source)), /holds something else under the key "k"/);
  assert.equal((await target.head("k"))?.version, 2);
});

/** A source that changes after some of its histories were listed, before they are read. */
function changing(state: VersionedState, change: () => Promise<unknown>): Source {
  const inner = sourceOf(state);
  let isFirst = true;
  return {
    pages: () => inner.pages(),
    total: async () => inner.total(),
    again: async (keys) => inner.again(keys),
    async *entries(wanted) {
      for await (const batch of inner.entries(wanted)) {
        yield batch;
        if (!isFirst) continue;
        isFirst = false;
        await change();
      }
    },
  };
}

async function putMany(key: string, value: string, count = 600): Promise<void> {
  for (let n = 0; n < count; n += 1) await source.put(key, `${value} ${n}`);
}

test("a key that is deleted while it is copied leaves no part of it behind", async () => {
  await putMany("k", "x");
  await source.put("z", "x");
  const change = async (): Promise<unknown> => source.delete("k");
  await copy(changing(source, change));
  assert.equal(await target.head("k"), undefined);
  assert.ok(await target.head("z"));

  await putMany("k", "x");
  target = await open("memory:");
  const text = await exportFrom(changing(source, change));
  assert.match(text, /"withdrawn":true/);
  await copy(importOf(text));
  assert.equal(await exportOf(target), await exportOf(source));
});

test("a key that is found deleted together with values of the next one is withdrawn before these", async () => {
  await putMany("a", "x", 300);
  await source.put("b", "x");
  const change = async (): Promise<unknown> => source.delete("a");
  await copy(importOf(await exportFrom(changing(source, change))));
  assert.equal(await exportOf(target), await exportOf(source));
});

test("a key that is put anew while it is copied is copied in its new life", async () => {
  await putMany("k", "old");
  const change = async (): Promise<unknown> => {
    await source.delete("k");
    return putMany("k", "new");
  };
  await copy(changing(source, change));
  assert.equal(await exportOf(target), await exportOf(source));
});

test("an import is gone on with, though its export has withdrawn a key and told it anew", async () => {
  await source.put("a", "x");
  await putMany("k", "old");
  const change = async (): Promise<unknown> => {
    await source.delete("k");
    return putMany("k", "new", 3);
  };
  const text = await exportFrom(changing(source, change));
  assert.match(text, /"withdrawn":true/);
  await copy(importOf(text));
  const whole = await exportOf(target);
  await copy(importOf(text));
  assert.equal(await exportOf(target), whole);
  // What was put there since is still somebody else's.
  await target.put("k", "newest");
  await assert.rejects(copy(importOf(text)), /holds something else under the key "k"/);
});

test("a key that retention trims while it is copied is copied from its first version left", async () => {
  await putMany("k", "x");
  const change = async (): Promise<unknown> => {
    const [info] = await source.store.keys({ from: "k", to: undefined, limit: 1 });
    assert.ok(info);
    return source.store.trim(info.key, info.incarnation, 550, 1_000);
  };
  await copy(changing(source, change));
  assert.equal(await exportOf(target), await exportOf(source));
});

test("a value that does not match its digest stops the copy", async () => {
  await source.put("k", "right");
  const text = (await exportOf(source)).replace('"right"', '"wrong"');
  await assert.rejects(copy(importOf(text)), /Version 1 of the key "k" does not match its digest/);
  assert.equal(await target.head("k"), undefined);
});

test("what is no export, or not the whole of one, is refused with the line", async () => {
  await source.put("k", "1");
  await source.put("k", "2");
  const text = await exportOf(source);
  const lines = text.split("\n");
  const without = (index: number): string => lines.toSpliced(index, 1).join("\n");
  const cases: readonly (readonly [string, RegExp])[] = [
    ["", /Line 1 .* is not the first line of an export/],
    ["hello\n", /Line 1 .* is no JSON object/],
    [text.replace('"formatVersion":1', '"formatVersion":2'), /Line 1 .* format version 2/],
    [without(0), /Line 1 .* is not the first line/],
    [without(2), /Line 4 .*/],
    [without(4), /Line 4 .* is the last: the rest was cut off/],
    [text.slice(0, -20), /Line 5 .* is no JSON object/],
    [text.replace('"key":"k"', '"key":"-"'), /Line 2 .* key that is not legal/],
    [text.replace('"version":2,"createdAt"', '"version":3,"createdAt"'), /follows version 2 of 3/],
    [text.replace('\n{"version":2,', '\n{"version":3,'), /Line 4 .* version 3 after version 1/],
    [
      text.replace(
        /"createdAt":"[^"]*","digest":"([^"]*)","value":"2"/,
        '"digest":"$1","value":"2"',
      ),
      /Line 4 .* no text "createdAt"/,
    ],
  ];
  for (const [broken, message] of cases) await refuses(broken, message);
});

async function refuses(broken: string, message: RegExp): Promise<void> {
  target = await open("memory:");
  await assert.rejects(copy(importOf(broken)), (error: unknown) => {
    assert.ok(error instanceof StateError, String(error));
    assert.match(error.message, message);
    return true;
  });
}

test("an import refuses what no server could serve, or no other store could hold", async () => {
  await source.put("k", "1", { author: "ann" });
  const text = await exportOf(source);
  const incarnation = /"incarnation":"([^"]*)"/.exec(text)?.[1] ?? "";
  const time = /"createdAt":"([^"]*)"/.exec(text)?.[1] ?? "";
  const digest = /"digest":"([^"]*)"/.exec(text)?.[1] ?? "";
  const cases: readonly (readonly [string, string, RegExp])[] = [
    [incarnation, "", /Line 2 .* "incarnation"/],
    [incarnation, 'a.b\\"c', /Line 2 .* "incarnation"/],
    [incarnation, "x".repeat(33), /Line 2 .* "incarnation"/],
    [time, "1969-12-31T23:59:59.999Z", /Line 2 .* "createdAt"/],
    [time, "+010000-01-01T00:00:00.000Z", /Line 2 .* "createdAt"/],
    [digest, "0".repeat(63), /Line 2 .* "digest"/],
    ['"version":1', `"version":${2 ** 48}`, /Line 2 .* "version"/],
    ["ann", "a".repeat(257), /Line 3 .* "author"/],
    ["ann", "\\ud800", /Line 3 .* "author"/],
  ];
  for (const [good, bad, message] of cases) await refuses(text.replaceAll(good, bad), message);
  await source.put("k", "2");
  const reversed = (await exportOf(source)).replace(time, "2200-01-01T00:00:00.000Z");
  await refuses(reversed, /Line 4 .* older than version 1/);
});
