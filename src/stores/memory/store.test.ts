import assert from "node:assert/strict";
import { test } from "node:test";
import { parseKey, type Key } from "../../key.ts";
import type { Put, Store, Transaction } from "../../store.ts";
import { silentLog } from "../../telemetry/log.ts";
import { open } from "./store.ts";

const NOW = 1_700_000_000_000;
const HOUR_MS = 3_600_000;

function openMemory(): Promise<Store> {
  const clock = { now: () => NOW, monotonic: () => performance.now() };
  return open("memory:", { clock, log: silentLog, timeoutMs: 5_000, connectTimeoutMs: 5_000 });
}

function keyOf(text: string): Key {
  const parsed = parseKey(text);
  assert.ok(parsed.ok);
  return parsed.key;
}

function transaction(parts: Partial<Transaction>): Transaction {
  const nothing = { conditions: [], puts: [], deletes: [], reads: [] };
  return { request: undefined, incarnation: "fresh", ...nothing, ...parts };
}

function putOf(key: Key, value: string, imported?: Put["imported"]): Put {
  const metadata = { contentType: undefined, author: undefined, message: undefined };
  return { key, value: Buffer.from(value), digest: "0".repeat(64), ...metadata, imported };
}

test("who writes into a value that a transaction read does not change the past", async () => {
  const store = await openMemory();
  const key = keyOf("k");
  await store.commit([transaction({ puts: [putOf(key, "hello")] })]);
  const [outcome] = await store.commit([transaction({ reads: [key] })]);
  assert.equal(outcome?.outcome, "committed");
  outcome.reads[0]?.value.fill(0);
  const [found] = await store.read([{ key, select: "latest", value: true }]);
  assert.ok(found !== undefined && found !== "trimmed" && found.value !== undefined);
  assert.equal(Buffer.from(found.value).toString(), "hello");
  await store.close();
});

test("the feed keeps an imported entry as long as a new one, whatever its createdAt", async () => {
  const store = await openMemory();
  const key = keyOf("old");
  const imported = { incarnation: "elsewhere", version: 1, createdAt: 1_000 };
  await store.commit([transaction({ puts: [putOf(key, "x", imported)] })]);
  await store.maintain({ feedRetentionMs: HOUR_MS });
  const stop = new AbortController();
  for await (const { changes } of store.changes([], stop.signal)) {
    assert.deepEqual(
      changes.map(({ key: changed, at }) => [changed, at]),
      [["old", 1_000]],
    );
    stop.abort();
  }
  await store.close();
});

test("a position that this feed never gave is refused, and holds nothing up", async () => {
  const store = await openMemory();
  for (const position of ["-", ".", "bad", "zzzzzzzzzzz"]) {
    const batches = store.changes([position], AbortSignal.timeout(5_000))[Symbol.asyncIterator]();
    await assert.rejects(batches.next(), { code: "cursor_expired" }, position);
  }
  await store.close();
});
