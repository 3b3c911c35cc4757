import type { ChildProcess } from "node:child_process";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const children = new Set<ChildProcess>();

/** Sees to it that a child does not outlive this process, also where a signal ends it. */
export function endWithThis(child: ChildProcess): void {
  if (children.size === 0) watch();
  children.add(child);
  child.once("exit", () => {
    children.delete(child);
    if (children.size === 0) unwatch();
  });
}

function watch(): void {
  process.on("exit", endAll);
  for (const signal of SIGNALS) process.on(signal, endBySignal);
}

function unwatch(): void {
  process.removeListener("exit", endAll);
  for (const signal of SIGNALS) process.removeListener(signal, endBySignal);
}

function endAll(): void {
  for (const child of children) child.kill("SIGKILL");
}

/** Whoever listens to the signal too decides what follows; else it ends the process as ever. */
function endBySignal(signal: NodeJS.Signals): void {
  endAll();
  unwatch();
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}
