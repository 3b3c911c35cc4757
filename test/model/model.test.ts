import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Open } from "../../src/conformance/facts.ts";
import type { Defect } from "../conformance/broken/defect.ts";
import { keyDefects } from "../conformance/broken/key-defects.ts";
import { lifeDefects } from "../conformance/broken/life-defects.ts";
import { readDefects } from "../conformance/broken/read-defects.ts";
import { requestDefects } from "../conformance/broken/request-defects.ts";
import { SharedMemory } from "../conformance/broken/shared-memory.ts";
import { writeDefects } from "../conformance/broken/write-defects.ts";
import { isSelected } from "../servers/selection.ts";
import { runSteps } from "./run.ts";

/** Defects that two thousand steps over twelve keys come across for certain. */
const FOUND = new Set([
  "takes keys that differ in case for one",
  "lists keys in the order of their UTF-16 units",
  "lists from the first key after the lower bound",
  "ends values at the first zero byte",
  "takes an empty value for none",
  "makes up a content type where none was sent",
  "answers the same query asked twice once",
  "leaves out an entry made in the very millisecond asked for",
  "orders versions as text",
  "lists the version before which a page ends",
  "takes the transactions of a batch in the reverse order",
  "takes any older version for the expected one",
  "writes first and weighs the conditions then",
  "looks at the first of several conditions only",
  "writes the keys of a transaction one by one, each under its own conditions",
  "reads in a transaction what its own writes made",
  "forgets request ids",
  "does not look at what a request id was used for",
  "answers a replay with the reads of the first time",
  "deletes nothing",
  "still reads the versions of a deleted key by number",
  "gives every life of a key the same incarnation",
  "trims without regard to the limit",
  "trims without looking at the incarnation",
  "reads a trimmed version as one that never was",
]);

const SEED = 42;
const STEPS = 2_000;

function withDefect(defect: Defect): Parameters<typeof runSteps>[0] {
  const memory = new SharedMemory();
  const shared = new Map<string, unknown>();
  let now = Date.UTC(2026, 0, 1);
  // Two versions in one millisecond now and then, the same ones in every run.
  const clock = { now: () => Math.floor((now += 0.5)), monotonic: () => performance.now() };
  const openStore: Open = async (url, given) => {
    const options = { ...given, clock };
    return defect.spoil(await memory.open(url, options), { options, shared });
  };
  return {
    name: defect.what,
    url: () => memory.newUrl(),
    openStore,
    transactions: "any-keys",
    steps: STEPS,
  };
}

async function failureOf(defect: Defect): Promise<Error> {
  return runSteps(withDefect(defect), SEED, STEPS).then(
    () => assert.fail("no step failed"),
    (error: unknown) => (error instanceof Error ? error : assert.fail("an error is an Error")),
  );
}

if (isSelected("memory")) {
  describe("random steps find a store that", () => {
    const all = [...keyDefects, ...readDefects, ...writeDefects, ...requestDefects, ...lifeDefects];
    const found = all.filter(({ what }) => FOUND.has(what));
    it("has one of the defects named here", () => {
      assert.deepEqual(new Set(found.map(({ what }) => what)), FOUND);
    });
    for (const defect of found) {
      it(defect.what, async () => {
        const first = await failureOf(defect);
        assert.match(first.message, new RegExp(`SEED=${SEED} fails at step \\d+`));
        const again = await failureOf(defect);
        const stepOf = ({ message }: Error): string => message.split("\n")[0] ?? "";
        assert.equal(stepOf(again), stepOf(first), "the same seed fails at the same step");
      });
    }
  });
}
