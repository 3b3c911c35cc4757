import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rename, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Worker } from "node:worker_threads";
import {
  at,
  commit,
  committed,
  deleteOne,
  keyOf,
  put,
  putOne,
  readOne,
  textOf,
  transaction,
} from "../../src/conformance/build.ts";
import { StateError, type Applied } from "../../src/errors.ts";
import { Stopwatch } from "../servers/stopwatch.ts";
import { newFile, openFile, openStore, valueOf } from "./sqlite-support.ts";
import { failsWith, untilDone } from "./support.ts";

const KEY = keyOf("k");

test("a write that never gets the lock fails by its deadline, and is not made later", async () => {
  const file = await newFile();
  const patient = await openStore(file);
  await putOne(patient, KEY, "before");
  await patient.close();
  const timeoutMs = 1_000;
  const store = await openStore(file, { timeoutMs });
  using other = openFile(file);
  other.exec("BEGIN IMMEDIATE");
  using watch = new Stopwatch();
  const writes = Array.from({ length: 5 }, () => putOne(store, KEY, "locked out"));
  for (const write of await Promise.allSettled(writes)) {
    assert.ok(write.status === "rejected");
    failsWith("store_unavailable", "no")(write.reason);
  }
  assert.ok(watch.ms < 5 * timeoutMs, `settled after ${watch.ms} ms`);
  assert.equal(textOf(await readOne(store, KEY)), "before", "reads do not wait");
  other.exec("ROLLBACK");
  await untilDone("a put", () => putOne(store, KEY, "after"));
  await store.close();
  const reader = await openStore(file);
  const history = await reader.history(KEY, { order: "oldest-first", after: 0, limit: 100 });
  const values = await Promise.all(
    history.map(async ({ version }) => textOf(await readOne(reader, KEY, { version }))),
  );
  assert.deepEqual([values[0], ...new Set(values.slice(1))], ["before", "after"]);
  await reader.close();
});

test("a write waits for a lock that is held for a while", async () => {
  const file = await newFile();
  const store = await openStore(file);
  using other = openFile(file);
  other.exec("BEGIN IMMEDIATE");
  const write = putOne(store, KEY, "patient");
  setTimeout(() => other.exec("ROLLBACK"), 200);
  assert.equal((await write).version, 1);
  await store.close();
});

/** Opens a store and gets hold of its thread, as it starts. */
async function openWithThread(file: string) {
  const threads: Worker[] = [];
  const note = (thread: Worker): void => void threads.push(thread);
  process.on("worker", note);
  const store = await openStore(file);
  return { store, thread: at(threads, 0), done: () => process.off("worker", note), threads };
}

test("a writing thread that dies fails what it had, and another takes its place", async () => {
  const file = await newFile();
  const { store, thread, threads, done } = await openWithThread(file);
  await putOne(store, KEY, "before");
  using other = openFile(file);
  other.exec("BEGIN IMMEDIATE");
  const waiting = [putOne(store, KEY, "lost"), deleteOne(store, KEY)];
  const settled = Promise.allSettled(waiting);
  await thread.terminate();
  for (const one of await settled) {
    assert.ok(one.status === "rejected");
    failsWith("store_unavailable", "no")(one.reason);
  }
  other.exec("ROLLBACK");
  assert.equal((await putOne(store, KEY, "after")).version, 2);
  assert.equal(threads.length, 2);
  await store.close();
  done();
});

function appliedOf(error: unknown): Applied {
  assert.ok(error instanceof StateError, String(error));
  return error.applied;
}

test("what a dying thread had not answered is either there in full or not, and never twice", async () => {
  const file = await newFile();
  let unknown = 0;
  for (let round = 0; round < 4; round += 1) {
    const { store, thread, done } = await openWithThread(file);
    const key = keyOf(`key-${round}`);
    const writes = Array.from({ length: 60 }, (_, i) => putOne(store, key, `${i}`));
    const settled = Promise.allSettled(writes);
    // After some answers, so that the thread dies in the middle of its work.
    await writes[10 * (round + 1)];
    await thread.terminate();
    const results = await settled;
    const history = await store.history(key, { order: "oldest-first", after: 0, limit: 1000 });
    const there = new Set<string | undefined>();
    for (const { version } of history) there.add(textOf(await readOne(store, key, { version })));
    assert.equal(there.size, history.length, "each value once");
    for (const [i, result] of results.entries()) {
      if (result.status === "fulfilled")
        assert.ok(there.has(`${i}`), "an acknowledged put is there");
      else if (appliedOf(result.reason) === "no")
        assert.ok(!there.has(`${i}`), "a refused one is not");
      else unknown += 1;
    }
    await store.close();
    done();
  }
  assert.ok(unknown <= 4, "at most the one that was being committed is unknown");
});

test("reads go on while a large commit is under way", async () => {
  const store = await openStore(await newFile());
  await putOne(store, KEY, "small");
  const large = Buffer.alloc(2 * 1024 * 1024, 7);
  const batch = Array.from({ length: 7 }, (_, i) =>
    transaction({ puts: [put(keyOf(`large-${i}`), large)] }),
  );
  // Once is enough, unless this thread was held up while the other one was not.
  let reads = 0;
  for (let round = 0; round < 20 && reads <= 10; round += 1) {
    reads = 0;
    let isDone = false;
    const write = store.commit(batch).finally(() => (isDone = true));
    while (!isDone) {
      assert.equal(textOf(await readOne(store, KEY)), "small");
      reads += 1;
      await nextTurn();
    }
    for (const outcome of await write) committed(outcome);
  }
  assert.ok(reads > 10, `${reads} reads were answered before the commit was`);
  await store.close();
});

test("a disk that takes no more is store_full, loses nothing, and takes writes when it can", async () => {
  const file = await newFile();
  const program = fileURLToPath(new URL("./sqlite-full-disk.ts", import.meta.url));
  // The shell's unit is 512 bytes: no file may grow past 1 MiB.
  const child = spawn(
    "sh",
    ["-c", 'ulimit -f 2048; exec "$0" "$@"', process.execPath, program, file],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let output = "";
  child.stdout.on("data", (part) => (output += String(part)));
  await once(child, "close");
  assert.equal(child.exitCode, 0);
  const { acknowledged, refused } = JSON.parse(output) as Record<string, string[]>;
  assert.ok(acknowledged !== undefined && acknowledged.length > 0);
  assert.deepEqual(new Set(refused), new Set(["store_full no"]));

  const store = await openStore(file);
  const history = await store.history(KEY, { order: "oldest-first", after: 0, limit: 1000 });
  assert.equal(history.length, acknowledged.length, "what was refused was not written");
  assert.equal((await putOne(store, KEY, "room again")).version, history.length + 1);
  await store.close();
  using db = openFile(file);
  assert.equal(valueOf(db, "PRAGMA integrity_check"), "ok");
});

test("a file that is removed or replaced while in use takes no more writes", async () => {
  const file = await newFile();
  const store = await openStore(file);
  await putOne(store, KEY, "before");
  await rename(file, `${file}.away`);
  await assert.rejects(putOne(store, KEY, "lost"), failsWith("store_unavailable", "no"));
  await assert.rejects(store.ping(), failsWith("store_unavailable"));
  await writeFile(file, "");
  await assert.rejects(putOne(store, KEY, "lost"), failsWith("store_unavailable", "no"));
  await rename(`${file}.away`, file);
  assert.equal((await putOne(store, KEY, "after")).version, 2);
  await store.close();
});

test("a transaction that fails in the thread takes nothing with it", async () => {
  const store = await openStore(await newFile());
  await putOne(store, KEY, "one");
  const broken = put(KEY, "two", { digest: undefined as unknown as string });
  await assert.rejects(commit(store, { puts: [put(keyOf("other"), "x"), broken] }), (error) =>
    failsWith("internal", "no")(error),
  );
  assert.equal(await readOne(store, keyOf("other")), undefined);
  assert.equal((await putOne(store, KEY, "two")).version, 2);
  await store.close();
});
