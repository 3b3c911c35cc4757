import type { Key } from "../../key.ts";
import type { Transaction } from "../../store.ts";
import { keysOf } from "../shared/plan.ts";
import type { Item } from "./key-work.ts";

/** Transactions of several keys that run at once: each needs a connection of its own. */
const SEVERAL_MAX = 8;

/** Transactions that may run in any order, as no two that write depend on a common key. */
export interface Wave {
  /** Of one key each; of the same key in the order given. */
  readonly single: readonly Item[];
  /** Of several keys each. */
  readonly several: readonly Item[];
}

/** Cuts a batch into waves that have to follow each other. Transactions without keys are left out. */
export function toWaves(transactions: readonly Transaction[]): readonly Wave[] {
  const waves: Wave[] = [];
  let single: Item[] = [];
  let several: Item[] = [];
  let singleKeys = new Set<Key>();
  let severalKeys = new Set<Key>();
  const cut = (): void => {
    if (single.length > 0 || several.length > 0) waves.push({ single, several });
    [single, several] = [[], []];
    [singleKeys, severalKeys] = [new Set(), new Set()];
  };
  for (const [index, transaction] of transactions.entries()) {
    const keys = new Set(keysOf(transaction));
    const isAny = (taken: ReadonlySet<Key>): boolean => [...keys].some((key) => taken.has(key));
    if (keys.size === 1) {
      if (isAny(severalKeys)) cut();
      single.push({ index, transaction });
      for (const key of keys) singleKeys.add(key);
    } else if (keys.size > 1) {
      const isFull = several.length === SEVERAL_MAX;
      if (isFull || isAny(severalKeys) || isAny(singleKeys)) cut();
      several.push({ index, transaction });
      for (const key of keys) severalKeys.add(key);
    }
  }
  cut();
  return waves;
}
