import { GARBAGE, GARBAGE_MIB, type Scenario, type Target } from "../scenario.ts";

const DEPTH = 100_000;
const TRANSACTIONS = 200;
/** Of each pair and form, all at once; one or two of those that are large are compared at a time. */
const DIFFS = 4;

function nested(depth: number, core: string): string {
  return `${"[".repeat(depth)}${core}${"]".repeat(depth)}`;
}

const DEEP_BODIES: readonly string[] = [
  nested(DEPTH, ""),
  `{"put":${nested(DEPTH, "")}}`,
  `{"put":[{"key":"k","value":${nested(DEPTH, "1")}}]}`,
  `${'{"put":'.repeat(DEPTH)}1${"}".repeat(DEPTH)}`,
  "[".repeat(DEPTH),
];

/** Two versions of a key to be compared. */
interface Pair {
  readonly key: string;
  readonly from: string;
  readonly to: string;
}

const NUMBERS = Array.from({ length: 20_000 }, (_, index) => index);

/** Each costs the most that something can: the stack, the time, or the memory. */
const PAIRS: readonly Pair[] = [
  { key: "deep", from: nested(DEPTH, "1"), to: nested(DEPTH, "2") },
  // Small enough to be compared in the thread that serves, where it gives up soon.
  { key: "less-deep", from: nested(2_000, "1"), to: nested(2_000, "2") },
  {
    key: "deep-objects",
    from: `${'{"a":'.repeat(DEPTH)}1${"}".repeat(DEPTH)}`,
    to: `${'{"a":'.repeat(DEPTH)}2${"}".repeat(DEPTH)}`,
  },
  {
    key: "wide",
    from: JSON.stringify(NUMBERS),
    to: JSON.stringify(NUMBERS.map((number) => -number - 1)),
  },
];

async function compareAll({ url, tally }: Target, pair: Pair, type: string): Promise<void> {
  const compareOne = async (): Promise<void> => {
    const headers = { Accept: type };
    const answer = await fetch(`${url}/${pair.key}/diff?from=1&to=2`, { headers });
    await answer.arrayBuffer();
    tally.add(`${answer.status}`);
  };
  await Promise.all(Array.from({ length: DIFFS }, compareOne));
}

const deepJson: Scenario = {
  name: "deep and wide JSON",
  sent:
    "200 transactions nested 100,000 deep; 32 comparisons of values nested 2,000 and 100,000 deep and " +
    "of arrays of 20,000 numbers, as text and as JSON Patch",
  expected: ["200", "400", "422", "503"],
  growth: {
    mebibytes: 2 * (256 + 64) + GARBAGE_MIB,
    why: `256 MiB of heap, and 64 beside it, for each of up to 2 threads that compare at a time, and ${GARBAGE}`,
  },
  async run(target) {
    const { url, tally } = target;
    for (let n = 0; n < TRANSACTIONS; n += 1) {
      const body = DEEP_BODIES[n % DEEP_BODIES.length] ?? "";
      const answer = await fetch(`${url}/-/transactions`, { method: "POST", body });
      await answer.arrayBuffer();
      tally.add(`${answer.status}`);
    }
    const failures: string[] = [];
    for (const pair of PAIRS) {
      for (const value of [pair.from, pair.to]) {
        const answer = await fetch(`${url}/${pair.key}`, { method: "PUT", body: value });
        if (answer.status !== 200) failures.push(`PUT of ${pair.key}: ${answer.status}`);
      }
      await compareAll(target, pair, "text/plain");
      await compareAll(target, pair, "application/json-patch+json");
    }
    return { failures };
  },
};

export const DEEP_JSON = [deepJson];
