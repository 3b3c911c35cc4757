import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after } from "node:test";
import type { Store, StoreOptions } from "../../src/store.ts";
import { open } from "../../src/stores/sqlite/store.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { silentLog } from "../../src/telemetry/log.ts";
import { endWithThis } from "../servers/children.ts";
import { removeFolder, temporaryFolder } from "../servers/process.ts";
import { PATIENCE_MS } from "./support.ts";

/** A folder that goes away with the test file's process. */
export async function newFolder(): Promise<string> {
  const folder = await temporaryFolder("sqlite");
  after(() => removeFolder(folder));
  return folder;
}

/** The path of a database that does not exist yet, in a folder of its own. */
export async function newFile(): Promise<string> {
  return join(await newFolder(), "state.db");
}

/** Opens a store that a test which fails need not close: it would keep the process from ending. */
export async function openStore(file: string, more: Partial<StoreOptions> = {}): Promise<Store> {
  const store = await openUntended(file, more);
  after(() => store.close());
  return store;
}

export async function openUntended(file: string, more: Partial<StoreOptions> = {}): Promise<Store> {
  return open(`sqlite:${file}`, {
    clock: systemClock,
    log: silentLog,
    timeoutMs: PATIENCE_MS,
    connectTimeoutMs: PATIENCE_MS,
    ...more,
  });
}

/** Another connection to a store's file, past the store. */
export function openFile(file: string): DatabaseSync {
  return new DatabaseSync(file, { timeout: 5_000 });
}

/** The only value that a statement answers. */
export function valueOf(db: DatabaseSync, sql: string): unknown {
  return Object.values(db.prepare(sql).get() ?? {})[0];
}

/** What a writing process tells of one batch, when it has been acknowledged. */
export interface Acknowledged {
  /** Key, version and value of each put. */
  readonly puts: readonly (readonly [key: string, version: number, value: string])[];
  readonly waitedMs: number;
}

/** A process that puts to the file without pause: see `sqlite-process.ts`. */
export interface WritingProcess {
  readonly child: ChildProcess;
  readonly acknowledged: readonly Acknowledged[];
  /** Lets it end after its batch. */
  stop(): void;
  /** Answers when the process has ended, whatever ended it. */
  ended(): Promise<void>;
}

export async function startWriting(
  file: string,
  task: { readonly name: string; readonly keys: number },
): Promise<WritingProcess> {
  const program = new URL("./sqlite-process.ts", import.meta.url);
  const child = fork(program, [file, task.name, String(task.keys)]);
  endWithThis(child);
  after(() => child.kill("SIGKILL"));
  const acknowledged: Acknowledged[] = [];
  // What it said last may be read after its exit, but not after the end of the channel.
  const ended = Promise.all([once(child, "exit"), once(child, "disconnect")]);
  const failed = once(child, "exit").then(() => {
    throw new Error("the process ended before it wrote");
  });
  await Promise.race([once(child, "message"), failed]);
  child.on("message", (message) => acknowledged.push(message as Acknowledged));
  return {
    child,
    acknowledged,
    stop: () => child.send("stop"),
    ended: async () => {
      await ended;
    },
  };
}
