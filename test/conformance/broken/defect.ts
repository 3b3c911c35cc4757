import type { StoreFacts } from "../../../src/conformance/facts.ts";
import type { Store, StoreOptions } from "../../../src/store.ts";

/** One thing wrong with a store that is sound otherwise. */
export interface Defect {
  /** What is wrong, as a sentence about the store. */
  readonly what: string;
  /** The case that has to find it. */
  readonly caughtBy: string;
  /** Spoils one instance. `shared` is the same for all instances of one URL. */
  spoil(inner: Store, context: SpoilContext): Store;
  /** What the store claims to be, where that is not what the sound one claims. */
  readonly facts?: Partial<StoreFacts>;
}

export interface SpoilContext {
  readonly options: StoreOptions;
  /** Whatever a defect has to keep for all instances of one URL. */
  readonly shared: Map<string, unknown>;
}

/** A value that all instances of a URL share; made at its first use. */
export function sharedValue<Value>(context: SpoilContext, name: string, make: () => Value): Value {
  if (!context.shared.has(name)) context.shared.set(name, make());
  return context.shared.get(name) as Value;
}
