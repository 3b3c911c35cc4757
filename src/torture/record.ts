import type { EntryRef } from "../store.ts";

/**
 * One call of one client, as it saw it. Times are nanoseconds of the machine's monotonic clock
 * (`process.hrtime`), which all processes of one machine share: `start` just before the request was
 * sent, `end` just after its answer was read.
 */
export interface CallTimes {
  readonly client: string;
  readonly key: string;
  readonly start: number;
  readonly end: number;
  /** Of a call that failed: the answer's `code`, or how there came none. */
  readonly failure?: string;
}

/** A latest entry as a call reported it; undefined: the key did not exist. */
export type Seen = (EntryRef & { readonly id: string | undefined }) | undefined;

export type Call = CallTimes &
  (
    | PutCall
    /** The latest entry was asked for; `seen` holds the id that its value carries. */
    | { readonly op: "get"; readonly outcome: "ok"; readonly seen: Seen }
    | {
        readonly op: "get-version";
        readonly outcome: "ok";
        readonly version: number;
        readonly seen: Seen;
      }
    | { readonly op: "delete"; readonly outcome: "ok"; readonly versions: number }
    | { readonly op: "delete"; readonly outcome: "no" | "unknown" }
    | { readonly op: "get" | "get-version"; readonly outcome: "no" }
  );

/** A put's value carries `id`, which no other put has. `cas` is the version it asked for, if any. */
export type PutCall = {
  readonly op: "put";
  readonly id: string;
  readonly cas: number | undefined;
} & (
  | ({ readonly outcome: "ok" } & EntryRef)
  | { readonly outcome: "conflict"; readonly current: EntryRef | undefined }
  | { readonly outcome: "no" | "unknown" }
);

/** A put or delete as a watcher was told of it, and when. */
export interface Delivery {
  readonly key: string;
  readonly incarnation: string;
  /** Of a delete: the last version that was seen before it. */
  readonly version: number;
  readonly deleted: boolean;
  readonly at: number;
}

/** One entry as it stands in the end; `createdAt` in milliseconds, as the server answers it. */
export interface FinalEntry extends EntryRef {
  readonly id: string;
  readonly createdAt: number;
}

/** All that one run recorded of one key. */
export interface KeyRecord {
  readonly key: string;
  readonly calls: readonly Call[];
  /**
   * What one watcher, which followed the key from before its first write, was told, in order. Undefined
   * where the store has no feed; the key must then never have been deleted.
   */
  readonly deliveries: readonly Delivery[] | undefined;
  /** The whole history, read at the end at rest, oldest first; empty: the key does not exist. */
  readonly final: readonly FinalEntry[];
}

/** A broken promise, with all that a person needs to see it. */
export interface Violation {
  readonly key: string;
  readonly kind:
    | "hole"
    | "lost"
    | "vanished"
    | "doubled"
    | "changed"
    | "phantom"
    | "order"
    | "condition"
    | "feed"
    | "delete"
    | "time"
    | "answer"
    | "memory";
  readonly message: string;
  readonly witness: readonly unknown[];
}
