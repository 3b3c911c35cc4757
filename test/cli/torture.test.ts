import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { removeFolder, temporaryFolder, waitUntil } from "../servers/process.ts";
import { VssProcess } from "./vss.ts";

test("a torture that is told to stop says what it saw, and leaves no server behind", async (t) => {
  const folder = await temporaryFolder("torture");
  t.after(() => removeFolder(folder));
  const args = ["--store", "sqlite:state.db", "--servers", "2", "--clients", "2", "--for", "10m"];
  const torture = new VssProcess(["torture", ...args], { cwd: folder });
  await waitUntil("two servers", () => childrenOf(torture.pid).length === 2);
  const servers = childrenOf(torture.pid);
  t.after(() => servers.filter(isThere).forEach((pid) => process.kill(pid, "SIGKILL")));
  torture.signal("SIGTERM");
  const { stdout } = await torture.ended();
  assert.match(stdout, /Nothing was lost/);
  await waitUntil("the servers' ends", () => !servers.some(isThere));
});

function childrenOf(parent: number): readonly number[] {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).split("\n");
  const processes = lines.map((line) => line.trim().split(/\s+/).map(Number));
  return processes.flatMap(([pid = 0, parentPid]) => (parentPid === parent ? [pid] : []));
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
