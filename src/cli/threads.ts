import { availableParallelism } from "node:os";

/** Threads in which V8 collects garbage beside the one that serves, where nobody asks for another number. */
const V8_THREADS = 4;

/** Node's option for their number; with 0 it is one fewer than there are processors. */
const OPTION = "--v8-pool-size";

/**
 * On a machine of few processors, has V8 take one thread fewer than there are. With its four, a kernel that
 * changes threads at its ticks of 4 ms lets the one that serves wait for two or three of them
 * (docs/decisions/0022). Their number can only be given to Node at its start: this process becomes
 * another Node with the same arguments, and does not return; it keeps its id, and takes some 50 ms more
 * to start. Does nothing where the number was given, nor where a parent talks to this process over a
 * channel, which the other would not have.
 */
export function leaveAProcessorToServing(): void {
  if (availableParallelism() > V8_THREADS || process.channel !== undefined) return;
  const { execPath, execArgv, argv, env } = process;
  if ([...execArgv, env["NODE_OPTIONS"] ?? ""].some((given) => given.includes(OPTION))) return;
  try {
    process.execve?.(execPath, [execPath, `${OPTION}=0`, ...execArgv, ...argv.slice(1)], env);
  } catch {
    // Windows can't, and a process may be forbidden to. It serves all the same.
  }
}
