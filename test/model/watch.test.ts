import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSelected } from "../servers/selection.ts";
import { watchDefects } from "./watch-defects.ts";
import { runWatches } from "./watch-steps.ts";

/** Each fault that such runs have found in the watch is found again by one of these, when put back. */
const SEEDS = Array.from({ length: 40 }, (_, index) => index + 1);

/** What has to have happened to some watcher, or the runs have shown nothing. */
const HAPPENINGS = [
  /^put k1 version [2-9] of life [2-9]$/,
  /^delete k2 version \d of life \d$/,
  /^caught-up$/,
  /^\(watch from now\)$/,
  /^\(watch from 0\)$/,
  /^\(watch from 2\)$/,
  /^\(watch from id\)$/,
  /^\(store_unavailable\)$/,
  /^\(cursor_expired\)$/,
];

interface Failure {
  readonly seed: number;
  readonly message: string;
}

if (isSelected("memory")) {
  describe("random watchers of random writers", () => {
    it("are told what was written, in order, whatever becomes of the feed", async () => {
      const { SEED: only } = process.env;
      if (only !== undefined) {
        await runWatches(Number(only));
        return;
      }
      const lines = new Set<string>();
      for (const seed of SEEDS) for (const line of await runWatches(seed)) lines.add(line);
      for (const one of HAPPENINGS) {
        assert.ok(
          [...lines].some((line) => one.test(line)),
          `nothing is told like ${one.source}`,
        );
      }
    });

    it("are told the same again by the same seed", async () => {
      const [seed = 0, other = 0] = SEEDS;
      const lines = await runWatches(seed);
      assert.deepEqual(await runWatches(seed), lines);
      assert.notDeepEqual(await runWatches(other), lines);
    });
  });

  describe("random watchers find", () => {
    for (const defect of watchDefects) {
      const firstFailure = async (): Promise<Failure> => {
        for (const seed of SEEDS) {
          const message = await failureOf(seed);
          if (message !== undefined) return { seed, message };
        }
        assert.fail("no seed fails");
      };
      const failureOf = (seed: number): Promise<string | undefined> =>
        runWatches(seed, defect).then(
          () => undefined,
          (error: unknown) => (error instanceof Error ? error.message : String(error)),
        );

      it(defect.what, async () => {
        const { seed, message } = await firstFailure();
        assert.match(message, new RegExp(`^SEED=${seed}: `));
        assert.match(message, /\na watcher of .* was told:\n[^]*\nwritten to k\d:\n0: put /);
        assert.match(message, defect.message);
        assert.equal(await failureOf(seed), message, "the same seed fails in the same way");
      });
    }
  });
}
