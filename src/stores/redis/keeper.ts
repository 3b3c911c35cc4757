import type { Key } from "../../key.ts";
import type { Clock } from "../../telemetry/clock.ts";
import type { Executor } from "./executor.ts";
import { partitionOf, type Partition } from "./schema.ts";
import { TRIM_FEED_SCRIPT, TRIM_SCRIPT } from "./scripts.ts";

/** Versions that one script removes, and stream entries that it looks at: about a millisecond each. */
const STEP_VERSIONS = 500;
const STEP_FEED_ENTRIES = 50;

/** Clears what retention no longer keeps, in steps so small that nobody waits for one. */
export class Keeper {
  readonly #executor: Executor;
  readonly #partitions: readonly Partition[];
  readonly #clock: Clock;

  constructor(executor: Executor, partitions: readonly Partition[], clock: Clock) {
    this.#executor = executor;
    this.#partitions = partitions;
    this.#clock = clock;
  }

  /** Removes up to `limit` of a key's versions below `keepFrom`; answers how many it removed. */
  async trim(
    key: Key,
    { incarnation, keepFrom, limit }: TrimRequest,
    deadline: number,
  ): Promise<number> {
    const index = partitionOf(key, this.#partitions.length);
    const { slot, names } = this.#partitions[index] as Partition;
    let removed = 0;
    while (removed < limit) {
      const step = Math.min(limit - removed, STEP_VERSIONS);
      const args = [incarnation, String(keepFrom), String(step)];
      const call = { script: TRIM_SCRIPT, keys: [names.key + key], args };
      const count = Number(await this.#executor.runScript({ slot, kind: "write", deadline }, call));
      removed += count;
      if (count < step) break;
    }
    return removed;
  }

  /** One step of trimming every partition's feed; answers true while there is more to do. */
  async trimFeed(feedRetentionMs: number, deadline: number): Promise<boolean> {
    const cutoff = String(this.#clock.now() - feedRetentionMs);
    const answers = await Promise.all(
      this.#partitions.map(({ slot, names }) =>
        this.#executor.runScript(
          { slot, kind: "write", deadline },
          {
            script: TRIM_FEED_SCRIPT,
            keys: [names.feed, names.meta],
            args: [cutoff, String(STEP_FEED_ENTRIES)],
          },
        ),
      ),
    );
    return answers.some((more) => more === 1);
  }
}

export interface TrimRequest {
  readonly incarnation: string;
  readonly keepFrom: number;
  readonly limit: number;
}
