import { setTimeout as sleep } from "node:timers/promises";
import { StateError } from "../../errors.ts";
import type { Clock } from "../../telemetry/clock.ts";
import { classify, isPassing, toStateError, type Failure } from "./classify.ts";
import type { Connection, Reply } from "./connection.ts";
import type { Script } from "./scripts.ts";
import type { Node, Topology } from "./topology.ts";

/** One use of a connection, made again after a failure where that is safe. */
export interface Call<Result> {
  readonly slot: number;
  /** A write has to be safe to make again once its outcome is not known. */
  readonly kind: "read" | "write";
  readonly deadline: number;
  /** `isRedirected`: the slot is on its way to this node, which wants ASKING before a command. */
  attempt(connection: Connection, isRedirected: boolean): Promise<Result>;
}

type Tried<Result> = { readonly result: Result } | { readonly failure: Failure };

/**
 * For how long a slot may be in trouble before its calls fail at once. Long enough to hide a restart
 * or a failover that goes well; short enough that calls do not pile up behind one that does not.
 */
const GRACE_MS = 1000;
/** A pause that took so much longer than it was to take, in milliseconds: this process stood still. */
const HELD_UP_MS = 250;
const REDIRECTS_MAX = 16;
const RETRY_DELAY_MS_MIN = 10;
const RETRY_DELAY_MS_MAX = 100;

/** Makes calls, each within its deadline, and again where that is safe and of use. */
export class Executor {
  readonly #topology: Topology;
  readonly #clock: Clock;
  /** Since when a slot's calls have been failing. */
  readonly #troubleSince = new Map<number, number>();

  constructor(topology: Topology, clock: Clock) {
    this.#topology = topology;
    this.#clock = clock;
  }

  /**
   * Makes a call until it is answered. Once a write was sent and its answer lost, it goes on for as
   * long as the deadline allows: only by sending it again can its outcome be learned.
   */
  async run<Result>(call: Call<Result>): Promise<Result> {
    let wasSent = false;
    let redirect: Node | undefined;
    for (let retries = 0; ; retries += 1) {
      const tried = await this.#try(call, redirect);
      if ("result" in tried) {
        if (this.#troubleSince.size > 0) this.#troubleSince.delete(call.slot);
        return tried.result;
      }
      const { failure } = tried;
      if (call.kind === "write" && failure.kind === "lost") wasSent = true;
      redirect = retries < REDIRECTS_MAX ? this.#redirectOf(failure) : undefined;
      if (redirect !== undefined) continue;
      if (!this.#isWorthRetrying(failure)) throw toStateError(failure, wasSent);
      // Whoever serves the slot now is found while this waits.
      void this.#topology.refresh();
      const delayMs = Math.min(RETRY_DELAY_MS_MIN * 2 ** Math.min(retries, 10), RETRY_DELAY_MS_MAX);
      const end = wasSent ? call.deadline : Math.min(call.deadline, this.#graceEnd(call.slot));
      if (this.#clock.monotonic() + delayMs > end) throw toStateError(failure, wasSent);
      await this.#pause(call.slot, delayMs);
      // A copy that is sent later than that may find the first one forgotten.
      if (this.#clock.monotonic() > call.deadline) throw toStateError(failure, wasSent);
    }
  }

  /** Runs a script that changes nothing, or nothing that matters when it is changed again. */
  async runScript(
    where: Pick<Call<Reply>, "slot" | "kind" | "deadline">,
    call: ScriptCall,
  ): Promise<Reply> {
    return this.run({
      ...where,
      attempt: (connection, isRedirected) =>
        withScript(connection, call.script, () => sendScript(connection, call, isRedirected)),
    });
  }

  /** Runs one command that changes nothing, or nothing that matters when it is made again. */
  async runCommand(
    where: Pick<Call<Reply>, "slot" | "kind" | "deadline">,
    command: readonly string[],
  ): Promise<Reply> {
    return this.run({
      ...where,
      attempt: (connection, isRedirected) => {
        if (isRedirected) connection.send(["ASKING"]).catch(() => {});
        return connection.send(command);
      },
    });
  }

  #graceEnd(slot: number): number {
    const since = this.#troubleSince.get(slot) ?? this.#clock.monotonic();
    this.#troubleSince.set(slot, since);
    return since + GRACE_MS;
  }

  /**
   * Waits between two attempts. Where this process stood still meanwhile, the trouble counts from its
   * end: nobody has tried in that time whether the slot is served again.
   */
  async #pause(slot: number, delayMs: number): Promise<void> {
    const due = this.#clock.monotonic() + delayMs;
    await sleep(delayMs);
    const now = this.#clock.monotonic();
    if (now - due > HELD_UP_MS && this.#troubleSince.has(slot)) this.#troubleSince.set(slot, now);
  }

  async #try<Result>(call: Call<Result>, redirect: Node | undefined): Promise<Tried<Result>> {
    const connection = (redirect ?? this.#topology.nodeOf(call.slot))?.[call.kind];
    if (connection === undefined) return { failure: { kind: "unsent", cause: undefined } };
    if (!connection.isReady) return { failure: connection.refusal };
    try {
      return { result: await call.attempt(connection, redirect !== undefined) };
    } catch (error) {
      if (error instanceof StateError) throw error;
      return { failure: classify(error) };
    }
  }

  #isWorthRetrying(failure: Failure): boolean {
    return failure.kind !== "refused" || isPassing(failure.code);
  }

  /** Where a slot that is being moved already holds the keys of a command. */
  #redirectOf(failure: Failure): Node | undefined {
    if (failure.kind !== "refused" || failure.code !== "ASK") return undefined;
    const target = /^ASK \d+ (.*):(\d+)$/.exec((failure.cause as Error).message);
    if (target === null) return undefined;
    return this.#topology.redirectedTo({ host: target[1] ?? "", port: Number(target[2]) });
  }
}

/** One call of a script. */
export interface ScriptCall {
  readonly script: Script;
  readonly keys: readonly string[];
  readonly args: readonly (string | Buffer)[];
}

/** Sends a script by its hash alone. */
export async function sendScript(
  connection: Connection,
  { script, keys, args }: ScriptCall,
  isRedirected: boolean,
): Promise<Reply> {
  if (isRedirected) connection.send(["ASKING"]).catch(() => {});
  return connection.send(["EVALSHA", script.sha, String(keys.length), ...keys, ...args]);
}

/** Makes an attempt; where the server does not know the script yet, loads it and makes it again. */
export async function withScript<Result>(
  connection: Connection,
  script: Script,
  attempt: () => Promise<Result>,
): Promise<Result> {
  try {
    return await attempt();
  } catch (error) {
    const failure = classify(error);
    if (failure.kind !== "refused" || failure.code !== "NOSCRIPT") throw error;
    await connection.send(["SCRIPT", "LOAD", script.source]);
    return attempt();
  }
}
