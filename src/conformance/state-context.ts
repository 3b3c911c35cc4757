import assert from "node:assert/strict";
import { unique } from "./build.ts";
import type { EntryInfo, StoreInfo } from "../store.ts";
import type { StateApi, WatchEvent } from "../api.ts";
import { StateError, type ErrorCode } from "../errors.ts";

/** What the store behind a state can do, as the test file declares it. */
export interface StateFacts {
  readonly transactions: StoreInfo["transactions"];
  readonly watch: StoreInfo["watch"];
}

/** One test of the state suite, as data. */
export interface StateCase {
  readonly name: string;
  /** Left out where the store behind it can't: prefixes are watched only where there is a feed. */
  readonly needs?: "feed" | "no-feed" | "several-keys";
  run(context: StateContext): Promise<void>;
}

export function stateMeets(facts: StateFacts, needs: StateCase["needs"]): boolean {
  if (needs === "feed") return facts.watch !== "none";
  if (needs === "no-feed") return facts.watch === "none";
  if (needs === "several-keys") return facts.transactions !== "one-key";
  return true;
}

/** How long an event may take before a case gives up on it. */
const PATIENCE_MS = 60_000;

/** What one case works with. Whatever it opens or follows ends with it. */
export class StateContext {
  readonly facts: StateFacts;
  readonly state: StateApi;
  readonly #open: () => Promise<StateApi>;
  readonly #opened: StateApi[] = [];
  readonly #watchers: Watcher[] = [];
  readonly #patienceMs: number;

  constructor(
    facts: StateFacts,
    state: StateApi,
    open: () => Promise<StateApi>,
    patienceMs = PATIENCE_MS,
  ) {
    this.facts = facts;
    this.#patienceMs = patienceMs;
    this.state = state;
    this.#open = open;
  }

  /** A prefix, and so keys, that no other case uses. */
  prefix(): string {
    return `${unique()}/`;
  }

  key(suffix = ""): string {
    return `${unique()}${suffix}`;
  }

  /** Keys that share a `{tag}`, so that every store takes them together. */
  taggedKeys(count: number): readonly string[] {
    const tag = unique();
    return Array.from({ length: count }, (_, i) => `{${tag}}:${i}`);
  }

  /** Another one over the same data. */
  async open(): Promise<StateApi> {
    const state = await this.#open();
    this.#opened.push(state);
    return state;
  }

  /** Reads events in the background; `start` is given the signal that ends them. */
  watch(start: (signal: AbortSignal) => AsyncIterable<WatchEvent>): Watcher {
    const watcher = new Watcher(start, this.#patienceMs);
    this.#watchers.push(watcher);
    return watcher;
  }

  async end(): Promise<void> {
    await Promise.all(this.#watchers.map((watcher) => watcher.stop()));
    await Promise.all(this.#opened.map((state) => state.close()));
  }
}

/** Collects the events of one watch. */
export class Watcher {
  readonly events: WatchEvent[] = [];
  readonly #abort = new AbortController();
  readonly #reading: Promise<void>;
  readonly #patienceMs: number;
  #wake = Promise.withResolvers<void>();
  #end: "open" | "ended" | Error = "open";

  constructor(start: (signal: AbortSignal) => AsyncIterable<WatchEvent>, patienceMs: number) {
    this.#patienceMs = patienceMs;
    this.#reading = this.#read(() => start(this.#abort.signal));
  }

  /** What was seen, without the ids: `put 3`, `delete`, `caught-up`. */
  get seen(): readonly string[] {
    return this.events.map((event) => (event.type === "put" ? `put ${event.version}` : event.type));
  }

  get lastId(): string {
    return this.events.at(-1)?.id ?? "";
  }

  /** Waits for so many events; fails after a while, or where the watch ends before. */
  async untilCount(count: number): Promise<readonly WatchEvent[]> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#notify();
    }, this.#patienceMs);
    try {
      while (this.events.length < count) {
        if (this.#end instanceof Error) throw this.#end;
        const seen = `${this.events.length} of ${count} events: ${this.seen.join(", ")}`;
        assert.equal(this.#end, "open", `the watch ended after ${seen}`);
        assert.ok(!late, `not within ${this.#patienceMs} ms; ${seen}`);
        await this.#wake.promise;
      }
    } finally {
      clearTimeout(timer);
    }
    return this.events;
  }

  /** Waits until the watch fails, and answers with the code. */
  async failure(): Promise<ErrorCode | undefined> {
    await this.#reading;
    return this.#end instanceof StateError ? this.#end.code : undefined;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#reading;
  }

  async #read(start: () => AsyncIterable<WatchEvent>): Promise<void> {
    try {
      for await (const event of start()) {
        this.events.push(event);
        this.#notify();
      }
      this.#end = "ended";
    } catch (error) {
      this.#end = error instanceof Error ? error : new Error(String(error));
    }
    this.#notify();
  }

  #notify(): void {
    const { resolve } = this.#wake;
    this.#wake = Promise.withResolvers<void>();
    resolve();
  }
}

/** Asserts that a call is refused with this code, and answers the error. */
export async function refused(
  code: ErrorCode,
  call: () => Promise<unknown>,
  what = "",
): Promise<StateError> {
  let failure: unknown;
  try {
    const answer = await call();
    failure = new Error(`expected ${code}, not an answer: ${JSON.stringify(answer)}`);
  } catch (error) {
    failure = error;
  }
  assert.ok(failure instanceof StateError, `${what} expected ${code}: ${String(failure)}`);
  assert.equal(failure.code, code, `${what} ${failure.message}`);
  assert.equal(failure.applied, "no", `${what} a refusal wrote nothing`);
  return failure;
}

/** The value of an entry as text. */
export function valueText(entry: { readonly value?: Uint8Array } | undefined): string | undefined {
  return entry?.value && new TextDecoder().decode(entry.value);
}

/** An object whose members that are undefined are as good as missing. */
export function withoutUndefined(members: object): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

/** Puts to a key of its own until the store's time has passed a moment. */
export async function passMoment(state: StateApi, key: string, moment: number): Promise<void> {
  for (;;) {
    const { createdAt } = await state.put(key, "tick");
    if (createdAt > moment) return;
  }
}

/** The part of an entry that a put answers too. */
export function refOf({ incarnation, version }: Pick<EntryInfo, "incarnation" | "version">): {
  readonly incarnation: string;
  readonly version: number;
} {
  return { incarnation, version };
}
