import { systemClock } from "../telemetry/clock.ts";
import type { Store, StoreOptions } from "../store.ts";
import { storeOptions } from "./context.ts";
import { TASKS } from "./tasks.ts";
import type { WorkerMessage, WorkerTask } from "./workers.ts";

/** A process of its own for the suite: opens the store and carries out the tasks it is sent. */

type OpenFunction = (url: string, options: StoreOptions) => Promise<Store>;
type AnyTask = (store: Store, task: unknown, note: (note: unknown) => void) => Promise<unknown>;

const [module = "", url = ""] = process.argv.slice(2);

try {
  const { open, openStore } = (await import(module)) as Record<string, OpenFunction | undefined>;
  const openAny = openStore ?? open;
  if (openAny === undefined) throw new Error(`${module} exports neither openStore nor open`);
  const store = await openAny(url, storeOptions(systemClock));
  process.on("message", (message) => void carryOut(store, message as WorkerTask));
  process.once("disconnect", () => void store.close());
  send({ kind: "ready" });
} catch (error) {
  send({ kind: "failed", id: undefined, reason: describe(error) });
  process.exitCode = 1;
  process.disconnect();
}

async function carryOut(store: Store, { id, name, task }: WorkerTask): Promise<void> {
  try {
    const run = TASKS[name] as AnyTask;
    const result = await run(store, task, (note) => {
      send({ kind: "note", id, note } as WorkerMessage);
    });
    send({ kind: "done", id, result });
  } catch (error) {
    send({ kind: "failed", id, reason: describe(error) });
  }
}

function send(message: WorkerMessage): void {
  process.send?.(message);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
