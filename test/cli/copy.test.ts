import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { after, before, test } from "node:test";
import { open } from "../../src/index.ts";
import { openStore } from "../../src/stores/index.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { silentLog } from "../../src/telemetry/log.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { startMongodb } from "../servers/mongodb.ts";
import { endWithThis } from "../servers/children.ts";
import { removeFolder, temporaryFolder, waitUntil, type TestServer } from "../servers/process.ts";
import { startRedis, startRedisCluster } from "../servers/redis.ts";
import { isSelected, type StoreName } from "../servers/selection.ts";
import { LAUNCHER, PATIENT, serve, vss } from "./vss.ts";

/** Stores migrated to other products and back, by the command line. */
const SERVERS: Partial<Record<StoreName, () => Promise<TestServer>>> = {
  redis: async () => startRedis(),
  "redis-cluster": async () => startRedisCluster({ masters: 3 }),
  mongodb: async () => startMongodb(),
  mariadb: async () => startMariadb(),
};

let folder: string;
before(async () => {
  folder = await temporaryFolder("copy");
  await fill();
});
after(async () => removeFolder(folder));

function file(name: string): string {
  return join(folder, name);
}

/** Odd keys, values of every kind, metadata, many keys and a long history. */
async function fill(): Promise<void> {
  const state = await open(`sqlite:${file("source.db")}`, { timeoutMs: 60_000 });
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  for (const key of [
    "a",
    "A",
    "a ",
    "a/b",
    "é",
    "e\u0301",
    "😀",
    "\uFFFD",
    "{t}",
    "$.%_",
    "__proto__",
  ]) {
    await state.put(key, bytes, { author: "Zoë", message: "why\nnot", contentType: "image/png" });
    await state.put(key, "");
    await state.put(key, `text of ${key}`);
  }
  await state.put("large", new Uint8Array(2 * 1024 * 1024).fill(255));
  await Promise.all(Array.from({ length: 1_500 }, (_, n) => state.put(`many/${n}`, `${n}`)));
  for (let round = 0; round < 15; round += 1) {
    await Promise.all(Array.from({ length: 100 }, (_, n) => state.put("long", `${round} ${n}`)));
  }
  await state.close();
}

/** Exports a store, and answers the bytes. */
async function exportOf(url: string): Promise<string> {
  const path = file("out.ndjson");
  const child = spawn(process.execPath, [LAUNCHER, "export", url], {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...PATIENT },
  });
  await pipeline(child.stdout, createWriteStream(path));
  return readFile(path, "utf8");
}

async function countVersions(url: string): Promise<number> {
  const store = await openStore(url, {
    clock: systemClock,
    log: silentLog,
    timeoutMs: 60_000,
    connectTimeoutMs: 60_000,
  });
  const keys = await store.keys({ from: "", to: undefined, limit: 10_000 });
  await store.close();
  return keys.reduce((sum, { version }) => sum + version, 0);
}

/** How much of an export is enough to begin with: past the large value, and not the end. */
function cutOf(text: string): number {
  return Math.floor(text.length * 0.95);
}

/** An import that is given most of an export, and then waits for the rest. */
async function beginImport(target: string, text: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [LAUNCHER, "import", target], {
    cwd: folder,
    stdio: ["pipe", "ignore", "pipe"],
    env: { ...process.env, ...PATIENT },
  });
  endWithThis(child);
  after(() => child.kill("SIGKILL"));
  // Of one that was killed, the rest of the export can't be written.
  child.stdin.on("error", () => {});
  child.stdin.write(text.slice(0, cutOf(text)));
  await waitUntil("the import to have begun", async () => {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    return (await countVersions(target)) > 0;
  });
  return child;
}

async function assertCopied(args: readonly string[]): Promise<string> {
  const { code, stderr } = await vss(args, { cwd: folder });
  assert.equal(code, 0, stderr);
  return stderr;
}

/** Serves a store that holds keys already, runs the test script against it, and stops. */
async function assertServes(store: string): Promise<void> {
  const { server, url } = await serve(["--store", store], { cwd: folder });
  const checked = await vss(["check", url], { cwd: folder });
  assert.deepEqual(checked, { code: 0, stdout: "", stderr: "" });
  server.signal("SIGTERM");
  assert.equal((await server.ended()).code, 0);
}

for (const [name, start] of Object.entries(SERVERS)) {
  if (!isSelected(name as StoreName)) continue;
  test(`a store goes to ${name}, is served and checked there, comes back, and is the same`, async () => {
    const server = await start();
    try {
      const source = `sqlite:${file("source.db")}`;
      const there = freshUrls(server)();
      const back = `sqlite:${file(`back-from-${name}.db`)}`;
      const expected = await exportOf(source);

      const importing = await beginImport(there, expected);
      importing.kill("SIGKILL");
      await once(importing, "close");
      const report = await assertCopied(["migrate", source, there]);
      assert.match(report, /versions were there before\.\n$/);
      assert.equal(await exportOf(there), expected);
      await assertServes(there);

      // What the script put is gone again, and all else is as it was.
      await assertCopied(["migrate", there, back]);
      assert.equal(await exportOf(back), expected);
    } finally {
      await server.stop();
    }
  });
}

test("a signal stops an import with one line, and the same one goes on", async () => {
  const target = `sqlite:${file("imported.db")}`;
  const expected = await exportOf(`sqlite:${file("source.db")}`);
  const stopped = await beginImport(target, expected);
  let report = "";
  stopped.stderr?.setEncoding("utf8").on("data", (text: string) => (report += text));
  stopped.kill("SIGINT");
  const [code] = (await once(stopped, "close")) as [number | null];
  assert.equal(code, 130);
  assert.match(report, /^Stopped\. .* goes on from there\.\n$/);

  const again = await beginImport(target, expected);
  again.stdin?.end(expected.slice(cutOf(expected)));
  assert.deepEqual(await once(again, "close"), [0, null]);
  assert.equal(await exportOf(target), expected);
});

test("a target that is not empty is refused, and left as it was", async () => {
  const source = `sqlite:${file("source.db")}`;
  const target = `sqlite:${file("other.db")}`;
  const state = await open(target, { timeoutMs: 60_000 });
  await state.put("mine", "x");
  await state.close();
  const untouched = await exportOf(target);
  const result = await vss(["migrate", source, target], { cwd: folder });
  assert.equal(result.code, 2);
  assert.match(result.stderr, /^vss: The target is not empty: it holds "mine".*--into-existing/);
  assert.equal(await exportOf(target), untouched);
  await assertCopied(["migrate", source, target, "--into-existing"]);
  assert.equal(await countVersions(target), (await countVersions(source)) + 1);
});

test("a source that is not there is named, and is not created", async () => {
  for (const args of [
    ["migrate", "sqlite:./missing.db", "sqlite:./new.db"],
    ["export", "sqlite:./missing.db"],
    ["export", "memory:"],
    ["migrate", "sqlite:./same.db", "sqlite:./same.db"],
  ]) {
    const result = await vss(args, { cwd: folder });
    assert.equal(result.code, 2, result.stderr);
    assert.equal(result.stderr.trimEnd().split("\n").length, 1, result.stderr);
    assert.equal(result.stdout, "");
  }
});
