import { commit, committed, keyOf, put, putOne, readOne, textOf } from "./build.ts";
import { audit, transfer } from "./bank.ts";
import type { EntryRef, Outcome, RequestId, Store } from "../store.ts";

/** A put that was acknowledged. */
export interface Written extends EntryRef {
  readonly key: string;
  readonly value: string;
}

type Note = (written: Written) => void;

/** What a worker process can be told to do. Arguments and results travel between processes. */
export const TASKS = {
  /** Puts a value of its own `count` times, round robin over the keys, several at once. */
  async putValues(
    store: Store,
    task: {
      readonly keys: readonly string[];
      readonly writer: string;
      readonly count: number;
      readonly atOnce: number;
    },
  ): Promise<readonly Written[]> {
    const written: Written[] = [];
    let next = 0;
    const write = async (): Promise<void> => {
      while (next < task.count) {
        const value = `${task.writer}-${next}`;
        const key = task.keys[next % task.keys.length] ?? "";
        next += 1;
        written.push({ ...(await putOne(store, keyOf(key), value)), key, value });
      }
    };
    await Promise.all(Array.from({ length: task.atOnce }, write));
    return written;
  },

  /** Puts until the process is killed, and notes each put when it has been acknowledged. */
  async putUntilKilled(
    store: Store,
    task: { readonly keys: readonly string[]; readonly writer: string },
    note: Note,
  ): Promise<void> {
    for (let i = 0; ; i += 1) {
      const value = `${task.writer}-${i}`;
      const key = task.keys[i % task.keys.length] ?? "";
      note({ ...(await putOne(store, keyOf(key), value)), key, value });
    }
  },

  /** Tries to put several values at once where the latest version is this one; 0: no key. */
  async putIfVersion(
    store: Store,
    task: { readonly key: string; readonly version: number; readonly values: readonly string[] },
  ): Promise<readonly Outcome[]> {
    const key = keyOf(task.key);
    const { version } = task;
    const condition =
      version === 0
        ? ({ kind: "absent", key } as const)
        : ({ kind: "version", key, version } as const);
    return Promise.all(
      task.values.map((value) =>
        commit(store, { conditions: [condition], puts: [put(key, value)] }),
      ),
    );
  },

  /** Commits the same request several times at once. */
  async putRequest(
    store: Store,
    task: {
      readonly key: string;
      readonly value: string;
      readonly request: RequestId;
      readonly times: number;
    },
  ): Promise<readonly Outcome[]> {
    const key = keyOf(task.key);
    const puts = [put(key, task.value)];
    const once = (): Promise<Outcome> => commit(store, { request: task.request, puts });
    return Promise.all(Array.from({ length: task.times }, once));
  },

  /** Deletes a key again and again; answers what each delete removed. */
  async deleteTimes(
    store: Store,
    task: { readonly key: string; readonly count: number },
  ): Promise<readonly number[]> {
    const removed: number[] = [];
    for (let i = 0; i < task.count; i += 1) {
      const outcome = committed(await commit(store, { deletes: [keyOf(task.key)] }));
      removed.push(outcome.deletes[0]?.versions ?? 0);
    }
    return removed;
  },

  /** Reads a value as text. */
  async readText(store: Store, task: { readonly key: string }): Promise<string | undefined> {
    return textOf(await readOne(store, keyOf(task.key)));
  },

  transfer,
  audit,
} as const;

export type TaskName = keyof typeof TASKS;
export type TaskArguments<Name extends TaskName> = Parameters<(typeof TASKS)[Name]>[1];
export type TaskResult<Name extends TaskName> = Awaited<ReturnType<(typeof TASKS)[Name]>>;
