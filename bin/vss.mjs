#!/usr/bin/env node
// Starts the command line: from src/ in a checkout, so that no stale build is ever run, and from
// dist/ in an installed package. Plain JavaScript that an older Node can read, to say what it needs.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import * as module from "node:module";
import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);
const source = new URL("src/cli/main.ts", root);
const main = existsSync(source) ? source : new URL("dist/cli/main.js", root);

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const pinnedNode = fileURLToPath(new URL("node_modules/node/bin/node", root));

if (major > 24 || (major === 24 && minor >= 15)) {
  // Compiled code is kept, which takes a third off the start. Where the folder can't be written it is
  // not; the system's own temporary folder would be open to whoever comes first.
  module.enableCompileCache(fileURLToPath(new URL(".cache/compiled", root)));
  await import(main.href);
} else if (existsSync(pinnedNode)) {
  runWith(pinnedNode);
} else {
  process.stderr.write(
    `vss needs Node 24.15 or newer; this is Node ${process.versions.node}. ` +
      "In a checkout run `npm ci`; elsewhere run it as " +
      "`npx --package node@24 --package versioned-state-server vss`.\n",
  );
  process.exitCode = 2;
}

/** Hands over to the Node that a checkout pins, and ends as it ends. */
function runWith(node) {
  const args = [fileURLToPath(main), ...process.argv.slice(2)];
  // A terminal signals both processes; anything else signals this one alone. Listened to before there is
  // a child: one that comes while it is started must not leave it behind.
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(name, () => {
      if (name !== "SIGINT" || !process.stdin.isTTY) child.kill(name);
    });
  }
  const child = spawn(node, args, { stdio: "inherit" });
  child.on("error", (error) => {
    process.stderr.write(`vss could not start ${node}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on("exit", (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 1;
  });
}
