import assert from "node:assert/strict";
import { commit, committed, existing, keyOf, put, putOne, textOf } from "./build.ts";
import type { Key } from "../key.ts";
import type { EntryRef, Store } from "../store.ts";

/** Accounts whose balances are text values; money only moves, so the total never changes. */
export interface Bank {
  readonly accounts: readonly string[];
}

export const OPENING_BALANCE = 100;

export async function openAccounts(store: Store, keys: readonly Key[]): Promise<void> {
  for (const key of keys) await putOne(store, key, String(OPENING_BALANCE));
}

/**
 * Moves units between accounts. Each move reads both, then writes both under the condition that
 * neither has changed. Answers how many moves were committed; a lost race is tried again.
 */
export async function transfer(
  store: Store,
  task: Bank & { readonly moves: number; readonly seed: number },
): Promise<number> {
  const { accounts } = task;
  let attempts = 0;
  for (let done = 0; done < task.moves; attempts += 1) {
    assert.ok(attempts < task.moves * 100, "a transfer gets through within a hundred attempts");
    const step = task.seed + attempts * 7;
    const from = keyOf(accounts[step % accounts.length] ?? "");
    const to = keyOf(accounts[(step + 1 + (attempts % 5)) % accounts.length] ?? "");
    if (await moveUnit(store, from, to)) done += 1;
  }
  return task.moves;
}

async function moveUnit(store: Store, from: Key, to: Key): Promise<boolean> {
  const [source, target] = await readBoth(store, from, to);
  const outcome = await commit(store, {
    conditions: [
      { kind: "entry", key: from, entries: [source.ref] },
      { kind: "entry", key: to, entries: [target.ref] },
    ],
    puts: [put(from, String(source.balance - 1)), put(to, String(target.balance + 1))],
  });
  if (outcome.outcome === "conflict") return false;
  committed(outcome);
  return true;
}

interface Balance {
  readonly ref: EntryRef;
  readonly balance: number;
}

async function readBoth(store: Store, from: Key, to: Key): Promise<[Balance, Balance]> {
  const results = await store.read([
    { key: from, select: "latest", value: true },
    { key: to, select: "latest", value: true },
  ]);
  const balances = results.map((result) => {
    const { incarnation, version } = existing(result, "an account");
    return { ref: { incarnation, version }, balance: Number(textOf(result)) };
  });
  const [source, target] = balances;
  assert.ok(source !== undefined && target !== undefined, "both accounts were read");
  return [source, target];
}

/** Reads all accounts in one transaction, several times over, and answers each total. */
export async function audit(
  store: Store,
  task: Bank & { readonly times: number },
): Promise<readonly number[]> {
  const totals: number[] = [];
  for (let i = 0; i < task.times; i += 1) {
    const outcome = committed(await commit(store, { reads: task.accounts.map(keyOf) }));
    totals.push(outcome.reads.reduce((sum, entry) => sum + Number(textOf(entry)), 0));
  }
  return totals;
}
