import assert from "node:assert/strict";
import { mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { keyOf, putOne, readOne, textOf } from "../../src/conformance/build.ts";
import { newFile, newFolder, openFile, openStore, valueOf } from "./sqlite-support.ts";
import { failsWith } from "./support.ts";

test("a file and its folders are made where they do not exist", async () => {
  const file = join(await newFolder(), "a", "b", "state.db");
  const store = await openStore(file);
  await putOne(store, keyOf("k"), "v");
  await store.close();
  assert.deepEqual(await readdir(dirname(file)), ["state.db"], "the log goes away with the close");
  using db = openFile(file);
  assert.equal(valueOf(db, "PRAGMA journal_mode"), "wal");
  assert.equal(valueOf(db, "PRAGMA user_version"), 1);
  assert.equal(valueOf(db, "SELECT key FROM heads"), "k", "a key is text in any SQLite tool");
});

test("a folder below a file is refused, and nothing is made", async () => {
  const folder = await newFolder();
  await writeFile(join(folder, "file"), "x");
  await assert.rejects(
    openStore(join(folder, "file", "new", "state.db")),
    failsWith("invalid_parameter"),
  );
  assert.deepEqual(await readdir(folder), ["file"]);
});

test("a folder that the system lets nobody make is refused", async () => {
  await assert.rejects(openStore("/proc/none/state.db"), failsWith("invalid_parameter"));
});

test("a folder in place of the file is refused", async () => {
  const folder = await newFolder();
  await mkdir(join(folder, "state.db"));
  await assert.rejects(openStore(join(folder, "state.db")), failsWith("invalid_parameter"));
  assert.deepEqual(await readdir(join(folder, "state.db")), []);
});

test("a file that is no database is refused, and left as it was", async () => {
  const file = await newFile();
  await writeFile(file, "A text.");
  await assert.rejects(openStore(file), failsWith("store_incompatible"));
  assert.equal(await readFile(file, "utf8"), "A text.");
  assert.deepEqual(await readdir(dirname(file)), ["state.db"]);
});

test("another program's database is refused, and left as it was", async () => {
  const file = await newFile();
  using db = new DatabaseSync(file);
  db.exec("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
  db.close();
  const before = await readFile(file);
  await assert.rejects(openStore(file), failsWith("store_incompatible"));
  assert.ok(before.equals(await readFile(file)));
  assert.deepEqual(await readdir(dirname(file)), ["state.db"]);
});

test("a file of a newer schema version is refused with both versions", async () => {
  const file = await newFile();
  await (await openStore(file)).close();
  using db = openFile(file);
  db.exec("PRAGMA user_version = 1000");
  await assert.rejects(openStore(file), (error: Error) => {
    assert.match(error.message, /version 1000.* knows 1 /);
    return failsWith("store_incompatible")(error);
  });
});

test("an empty file becomes a store", async () => {
  const file = await newFile();
  await writeFile(file, "");
  const store = await openStore(file);
  await putOne(store, keyOf("k"), "v");
  assert.equal(textOf(await readOne(store, keyOf("k"))), "v");
  await store.close();
});

test("a store says what it promises and which settings it read that from", async () => {
  const store = await openStore(await newFile());
  const { info } = store;
  assert.match(info.product, /^SQLite 3\.\d+\.\d+$/);
  assert.match(info.promise, /survives kill -9 of every process/);
  const found = new Map(info.settings.map((setting) => [setting.name, setting]));
  assert.equal(found.get("journal_mode")?.value, "wal");
  assert.equal(found.get("synchronous")?.value, "FULL");
  assert.ok(found.has("file_system"));
  assert.ok(found.has("free_space"));
  for (const { name, verdict, advice } of info.settings) {
    assert.equal(advice === undefined, verdict === "ok", `${name} has advice unless it is ok`);
  }
  await store.close();
});

test("what a killed process left in the log is there after the next start", async () => {
  const file = await newFile();
  const store = await openStore(file);
  await putOne(store, keyOf("k"), "in the log");
  // The file as a kill would leave it: the log has not been moved into it.
  const copy = await newFile();
  for (const suffix of ["", "-wal"]) await writeFile(copy + suffix, await readFile(file + suffix));
  assert.ok((await stat(`${copy}-wal`)).size > 0);
  await store.close();
  const recovered = await openStore(copy);
  assert.equal(textOf(await readOne(recovered, keyOf("k"))), "in the log");
  assert.equal((await putOne(recovered, keyOf("k"), "more")).version, 2);
  await recovered.close();
});
