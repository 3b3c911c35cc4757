import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { open } from "../../src/index.ts";
import { endWithThis } from "../servers/children.ts";
import { freePort, removeFolder, temporaryFolder, waitUntil } from "../servers/process.ts";
import { LAUNCHER } from "./vss.ts";

/** Starts a command whose output nobody reads. */
function unread(args: readonly string[]) {
  const child = spawn(process.execPath, [LAUNCHER, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  endWithThis(child);
  child.stdout.destroy();
  return child;
}

test("a help that nobody reads ends without a word", async () => {
  const child = unread(["help"]);
  const [stderr] = await Promise.all([text(child.stderr), once(child, "exit")]);
  assert.equal(stderr, "");
  assert.equal(child.exitCode, 0);
});

test("a server whose output nobody reads serves", async (t) => {
  const port = await freePort();
  const args = ["--store", "memory:", "--log-level", "silent", "--port", `${port}`];
  const child = unread(args);
  t.after(() => child.kill("SIGKILL"));
  await waitUntil("an answer", () => {
    assert.equal(child.exitCode, null);
    return fetch(`http://127.0.0.1:${port}/-/livez`).then(
      ({ ok }) => ok,
      () => false,
    );
  });
});

test("an export whose reader stands still near the end is whole", async (t) => {
  const folder = await temporaryFolder("export");
  t.after(() => removeFolder(folder));
  const url = `sqlite:${join(folder, "state.db")}`;
  const state = await open(url);
  for (let key = 0; key < 300; key += 1) await state.put(`key-${key}`, "x".repeat(10));
  await state.close();
  // 64 KiB are in the pipe, and the end of it still in the process.
  const pipe = '"$0" "$1" export "$2" | (head -c 30000; sleep 1.5; cat)';
  const child = spawn("sh", ["-c", pipe, process.execPath, LAUNCHER, url], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  endWithThis(child);
  const lines = (await text(child.stdout)).trimEnd().split("\n");
  assert.match(lines.at(-1) ?? "", /"versions":300/);
});
