import { closeSync, openSync } from "node:fs";

/** So many are opened; there is room for twice as many then. */
const FILES = 2_048;

/**
 * Has the kernel make room for 4,096 open files. Linux doubles a process's table of them each time it is full, and
 * where the process has threads, whoever opened the file waits meanwhile for all processors to pass by
 * (`expand_fdtable` in its fs/file.c calls `synchronize_rcu`): 5 to 24 ms, in which the thread that serves would
 * answer nobody, at the 256th connection, the 512th and so on. The room is never given back. Takes 55 ms.
 */
export function growFileTable(): void {
  const files: number[] = [];
  try {
    // As file numbers begin at 0 and some are taken, the last of them is past the half.
    while (files.length < FILES) files.push(openSync("/dev/null", "r"));
  } catch {
    // As far as the process may; or it is a system that has no such file.
  }
  for (const file of files) closeSync(file);
}
