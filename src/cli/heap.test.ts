import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

const HEAP = new URL("heap.ts", import.meta.url).href;

/** Answers how large the young generation became of a process that keeps what it allocates for a while. */
async function youngMib(begin: string): Promise<number> {
  const program = `
    import { setImmediate as nextTurn } from "node:timers/promises";
    import { getHeapSpaceStatistics } from "node:v8";
    ${begin}
    const kept = [];
    for (let turn = 0; turn < 4_000; turn += 1) {
      kept.push(Array.from({ length: 4_000 }, (_, index) => ({ index })));
      if (kept.length > 20) kept.shift();
      await nextTurn();
    }
    const young = getHeapSpaceStatistics().find((space) => space.space_name === "new_space");
    console.log(young.space_size / 2 ** 20);
  `;
  const args = ["--input-type=module", "--eval", program];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return Number(stdout);
}

test("the young generation of a server does not grow beyond its bound", async () => {
  assert.ok((await youngMib("")) > 32);
  const bounded = `import { shortenPauses } from ${JSON.stringify(HEAP)}; shortenPauses();`;
  const mib = await youngMib(bounded);
  assert.ok(mib >= 16 && mib <= 32, `it has ${mib} MiB`);
});
