import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { endWithThis } from "../servers/children.ts";
import { freePort, waitUntil } from "../servers/process.ts";
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
