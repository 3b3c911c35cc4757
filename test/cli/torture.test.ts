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

test("a signal that comes while torture restarts a server still ends the run with its verdict", async (t) => {
  const folder = await temporaryFolder("torture");
  t.after(() => removeFolder(folder));
  // One is killed after half of it: long enough for the looks below to miss none, however rare they are.
  const args = ["--store", "sqlite:state.db", "--servers", "2", "--clients", "2", "--for", "10s"];
  const torture = new VssProcess(["torture", ...args, "--seed", "0"], { cwd: folder });
  const seen = new Set<number>();
  const look = (): number => {
    for (const pid of childrenOf(torture.pid)) seen.add(pid);
    return seen.size;
  };
  t.after(() => [...seen].filter(isThere).forEach((pid) => process.kill(pid, "SIGKILL")));
  await waitUntil("a third server, in place of the one that was killed", () => look() === 3);
  torture.signal("SIGTERM");
  const { stdout, code, stderr } = await torture.ended();
  assert.equal(code, 0, stderr);
  assert.match(stdout, /Nothing was lost/);
  await waitUntil("the servers' ends", () => ![...seen].some(isThere));
});

function childrenOf(parent: number): readonly number[] {
  const found = processes().filter((each) => each.parent === parent);
  return found.map(({ pid }) => pid);
}

function isThere(pid: number): boolean {
  return processes().some((each) => each.pid === pid);
}

/** All that run: one that has ended may wait for whoever has taken it over to look at it. */
function processes(): readonly { readonly pid: number; readonly parent: number }[] {
  const text = execFileSync("ps", ["-A", "-o", "pid=,ppid=,stat="], { encoding: "utf8" });
  return text.split("\n").flatMap((line) => {
    const [pid, parent, state = "Z"] = line.trim().split(/\s+/);
    return state.startsWith("Z") ? [] : [{ pid: Number(pid), parent: Number(parent) }];
  });
}
