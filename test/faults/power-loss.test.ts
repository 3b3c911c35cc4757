import assert from "node:assert/strict";
import { copyFile, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { open } from "../../src/index.ts";
import { pause, removeFolder, temporaryFolder, waitUntil } from "../servers/process.ts";
import { isSelected } from "../servers/selection.ts";
import { VssServer } from "../servers/vss-server.ts";

async function put(url: string, key: string, value: string): Promise<number> {
  const response = await fetch(`${url}/${key}`, { method: "PUT", body: value });
  assert.equal(response.status, 200);
  return ((await response.json()) as { version: number }).version;
}

/** Each flush takes this much longer, in milliseconds. */
const FLUSH_MS = 400;

/** Makes every flush of a program to the disk slow, and writes the beginning and end of each to a file. */
function slowFlushes(trace: string): readonly string[] {
  return [
    "strace",
    // The tracer is the child, so that what ends the server ends both.
    "-D",
    "-f",
    "-qq",
    `-o${trace}`,
    "-etrace=fsync,fdatasync",
    `-einject=fsync,fdatasync:delay_enter=${FLUSH_MS * 1000}`,
  ];
}

/** How many flushes have begun, and how many of them have ended. */
async function flushesIn(
  trace: string,
): Promise<{ readonly begun: number; readonly ended: number }> {
  const text = await readFile(trace, "utf8");
  const count = (part: RegExp): number => [...text.matchAll(part)].length;
  return { begun: count(/f(?:data)?sync\(/g), ended: count(/ = 0/g) };
}

if (isSelected("sqlite")) {
  test("sqlite: no acknowledgement comes before its flush, and no read waits for one", async (t) => {
    const folder = await temporaryFolder("power-loss");
    const trace = join(folder, "flushes");
    const server = await VssServer.start({
      store: `sqlite:${join(folder, "state.db")}`,
      args: ["--store-timeout", "60s"],
      under: slowFlushes(trace),
    });
    t.after(async () => {
      await server.stop();
      await removeFolder(folder);
    });
    await put(server.url, "k", "first");
    // A busy machine may hold a read up until the flush has ended, but not one read after the other.
    let readsWithin = 0;
    await waitUntil("three reads that were answered within a flush", async () => {
      const { begun } = await flushesIn(trace);
      const start = performance.now();
      const written = put(server.url, "k", "next").then(() => performance.now() - start);
      await waitUntil("a flush", async () => (await flushesIn(trace)).begun > begun);
      const before = await flushesIn(trace);
      const answer = await fetch(`${server.url}/k`);
      const after = await flushesIn(trace);
      assert.equal(answer.status, 200);
      if (before.begun > before.ended && after.ended === before.ended) readsWithin += 1;
      const writeMs = await written;
      assert.ok(writeMs >= FLUSH_MS, `the write was acknowledged after ${writeMs} ms`);
      return readsWithin === 3;
    });
  });

  test("sqlite: a copy of its files at any moment opens with all that was acknowledged", async (t) => {
    const folder = await temporaryFolder("power-loss");
    const copies = await temporaryFolder("power-loss-copy");
    const store = `sqlite:${join(folder, "state.db")}`;
    const server = await VssServer.start({ store, args: ["--store-timeout", "60s"] });
    const acknowledged = new Map<string, number>();
    let isOver = false;
    t.after(async () => {
      isOver = true;
      await server.stop();
      await removeFolder(folder);
      await removeFolder(copies);
    });
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      while (!isOver) {
        const key = `k${writer % 3}`;
        const version = await put(server.url, key, `${writer}`).catch(() => 0);
        acknowledged.set(key, Math.max(version, acknowledged.get(key) ?? 0));
      }
    });
    for (let round = 0; round < 3; round += 1) {
      const before = acknowledged.get("k0") ?? 0;
      while ((acknowledged.get("k0") ?? 0) < before + 20) await put(server.url, "k0", "more");
      // No thread may write any more, or one file would be of a later moment than the other.
      await pause({ signal: (name) => server.signal(name), pids: [server.pid] });
      const then = new Map(acknowledged);
      const copy = join(copies, `${round}`);
      await copyAll(folder, copy);
      server.signal("SIGCONT");
      await assertHolds(`sqlite:${join(copy, "state.db")}`, then);
    }
    isOver = true;
    await Promise.all(writers);
  });
}

/** Every key has at least so many versions, without a gap. */
async function assertHolds(url: string, versions: ReadonlyMap<string, number>): Promise<void> {
  const state = await open(url);
  for (const [key, version] of versions) {
    const history = await state.history(key, { limit: 1000 });
    const found = history?.versions.map((each) => each.version) ?? [];
    const [latest = 0] = found;
    assert.ok(latest >= version, `${key}: ${latest} of ${version} versions`);
    assert.deepEqual(
      found,
      found.map((_, index) => latest - index),
    );
  }
  await state.close();
}

async function copyAll(from: string, to: string): Promise<void> {
  await mkdir(to);
  for (const name of await readdir(from)) await copyFile(join(from, name), join(to, name));
}
