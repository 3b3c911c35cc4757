import type { Store, StoreInfo, StoreOptions } from "../store.ts";

/** What a store must be, as its test file declares it. One case checks that `info` says the same. */
export interface StoreFacts {
  /** Several processes can share one store, so the cases that need several run. */
  readonly shared: boolean;
  /** What was acknowledged is there after a kill and a reopen. */
  readonly durable: boolean;
  readonly transactions: StoreInfo["transactions"];
  readonly watch: StoreInfo["watch"];
}

/** Opens the store under test, as `openStore` of the package does for its own stores. */
export type Open = (url: string, options: StoreOptions) => Promise<Store>;

/** A condition on {@link StoreFacts} without which a case has nothing to test. */
export type Need =
  | "shared"
  | "durable"
  | "watch"
  | "no-watch"
  /** Keys of one `{tag}` go together at least. */
  | "several-keys"
  | "any-keys"
  /** Some keys do not go together. */
  | "some-keys-apart";

/** Whether a store with these facts has to pass a case with these needs. */
export function meets(facts: StoreFacts, needs: readonly Need[]): boolean {
  const met: Record<Need, boolean> = {
    shared: facts.shared,
    durable: facts.durable,
    watch: facts.watch !== "none",
    "no-watch": facts.watch === "none",
    "several-keys": facts.transactions !== "one-key",
    "any-keys": facts.transactions === "any-keys",
    "some-keys-apart": facts.transactions !== "any-keys",
  };
  return needs.every((need) => met[need]);
}
