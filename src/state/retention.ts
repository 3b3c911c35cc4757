import { keyAfter, type Key } from "../key.ts";
import type { KeyInfo, Store } from "../store.ts";
import type { Clock } from "../telemetry/clock.ts";

/** What to keep of the keys of one prefix. A version goes when either limit says so. */
export interface RetentionRule {
  readonly prefix: string;
  /** The newest versions to keep, at least 1; undefined: all. */
  readonly keepVersions: number | undefined;
  /** Keeps what was the latest at some time within this long, in milliseconds; undefined: all. */
  readonly keepAgeMs: number | undefined;
}

/** Versions removed in one step of the store. */
const STEP_VERSIONS = 500;

/** Keys looked at in one step of a sweep. */
const STEP_KEYS = 200;

/** Keys that may wait for a trim of their own; beyond these, the next sweep finds them. */
const WAITING_KEYS_MAX = 10_000;

/**
 * Removes the versions that the rules no longer keep, in small steps. The latest version always stays,
 * and numbers are never used again. Several processes may do so at once: each step is harmless twice.
 */
export class Retention {
  readonly #store: Store;
  readonly #clock: Clock;
  /** The longest prefix first: the first match is the rule of a key. */
  readonly #rules: readonly RetentionRule[];
  readonly #waiting = new Set<Key>();
  #from: string | undefined = "";
  #removed = 0;

  constructor(store: Store, rules: readonly RetentionRule[], clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#rules = rules.toSorted((a, b) => b.prefix.length - a.prefix.length);
  }

  get isNeeded(): boolean {
    return this.#rules.length > 0;
  }

  /** Versions removed since the start, for metrics. */
  get removed(): number {
    return this.#removed;
  }

  /** Called for each new version, so that a limit by count holds soon after the put. */
  noteVersion(key: Key, version: number): void {
    if (!this.isNeeded) return;
    const keep = this.#ruleOf(key)?.keepVersions;
    if (keep !== undefined && version > keep && this.#waiting.size < WAITING_KEYS_MAX) {
      this.#waiting.add(key);
    }
  }

  /** Trims some keys that were written to. Answers true while more wait. */
  async stepWritten(): Promise<boolean> {
    const some = [...this.#waiting].slice(0, STEP_KEYS);
    for (const key of some) {
      this.#waiting.delete(key);
      const [info] = await this.#store.keys({ from: key, to: keyAfter(key), limit: 1 });
      if (info !== undefined && !(await this.#trim(info))) this.#waiting.add(key);
    }
    return this.#waiting.size > 0;
  }

  /** Looks at the next keys of a sweep over all of them. Answers false at the end of the sweep. */
  async stepSweep(): Promise<boolean> {
    const from = this.#from ?? "";
    const page = await this.#store.keys({ from, to: undefined, limit: STEP_KEYS });
    for (const info of page) {
      while (!(await this.#trim(info)));
    }
    const last = page.at(-1);
    this.#from = page.length < STEP_KEYS || last === undefined ? undefined : keyAfter(last.key);
    return this.#from !== undefined;
  }

  /** One step for one key. Answers true when nothing is left to remove. */
  async #trim(info: KeyInfo): Promise<boolean> {
    const rule = this.#ruleOf(info.key);
    if (rule === undefined || info.version === 1) return true;
    const keepFrom = Math.max(
      this.#keepFromByCount(rule, info),
      await this.#keepFromByAge(rule, info),
    );
    if (keepFrom <= 1) return true;
    const removed = await this.#store.trim(info.key, info.incarnation, keepFrom, STEP_VERSIONS);
    this.#removed += removed;
    return removed < STEP_VERSIONS;
  }

  #ruleOf(key: string): RetentionRule | undefined {
    return this.#rules.find(({ prefix }) => key.startsWith(prefix));
  }

  #keepFromByCount({ keepVersions }: RetentionRule, info: KeyInfo): number {
    return keepVersions === undefined ? 1 : info.version - keepVersions + 1;
  }

  /** The version that was the latest when the kept time began: as-of reads within it still answer. */
  async #keepFromByAge({ keepAgeMs }: RetentionRule, info: KeyInfo): Promise<number> {
    if (keepAgeMs === undefined) return 1;
    const asOf = this.#clock.now() - keepAgeMs;
    const [found] = await this.#store.read([{ key: info.key, select: { asOf }, value: false }]);
    if (found === undefined || found === "trimmed") return 1;
    return found.incarnation === info.incarnation ? found.version : 1;
  }
}
