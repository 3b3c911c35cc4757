import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

const ROOT = new URL("../../", import.meta.url);

/** A store in a file of its own, opened by another name: what somebody's own module looks like. */
const MY_STORE = `
import { openStore as openSqlite } from "${new URL("src/stores/index.ts", ROOT).href}";

export const openStore = (url, options) =>
  openSqlite(\`sqlite:\${import.meta.dirname}/\${url.replace("my-store:", "")}.db\`, options);
`;

/** Cases that open the store in other processes among them: the whole suite runs on SQLite elsewhere. */
const SAMPLE = /says of itself|process was killed|in five processes/;

test("the page's own suite runs against a store that is no part of the package", async () => {
  const page = await readFile(new URL("docs/conformance.md", ROOT), "utf8");
  const example = /```js\n([^]*?)```/.exec(page)?.[1];
  assert.ok(example !== undefined, "the page has an example");
  const suite = new URL("src/conformance/index.ts", ROOT).href;
  const folder = await mkdtemp(join(tmpdir(), "vss-test-conformance-"));
  try {
    await writeFile(join(folder, "package.json"), '{"type":"module"}');
    await writeFile(join(folder, "my-store.js"), MY_STORE);
    const file = join(folder, "my-store.test.js");
    await writeFile(file, example.replace("versioned-state-server/conformance", suite));
    // Not as a part of this run: its report would go to this one's parent.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const args = ["--test", `--test-name-pattern=${SAMPLE.source}`, file];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    assert.match(stdout, /^ℹ fail 0$/m);
    assert.ok(Number(/^ℹ pass (\d+)$/m.exec(stdout)?.[1]) >= 3, stdout);
  } finally {
    await rm(folder, { recursive: true });
  }
});
