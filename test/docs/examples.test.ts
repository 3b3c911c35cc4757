import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { serve } from "../http/serve.ts";
import { matches, parseExamples, runExample } from "./examples.ts";

const ROOT = new URL("../../", import.meta.url);

for (const page of ["README.md", "docs/http-api.md"]) {
  test(`every example of ${page} runs and prints what the page shows`, async () => {
    const examples = parseExamples(await readFile(new URL(page, ROOT), "utf8"));
    assert.ok(examples.length > 0, `${page} has no example`);
    await using served = await serve();
    for (const example of examples) {
      const output = await runExample(example, served.url);
      if (matches(example, output)) continue;
      assert.equal(output, example.expected?.text, `${page}, line ${example.line}`);
    }
  });
}

const PAGE = `
\`\`\`sh
echo one
\`\`\`

\`\`\`text
one
\`\`\`

<!-- not run: test/elsewhere.test.ts does -->

\`\`\`sh
exit 1
\`\`\`

\`\`\`sh
printf '{"at":"2026-11-21T10:00:00.000Z","etag":"\\\\"abcdefghijkl.2\\\\""}'
\`\`\`

\`\`\`json
{
  "at": "2020-01-01T00:00:00.000Z",
  "etag": "\\"ABCDEFGHIJKL.2\\""
}
\`\`\`

\`\`\`sh
printf 'a\\nb\\nc\\n'
\`\`\`

\`\`\`text
a
…
\`\`\`
`;

test("an example is told from its output, and from what is run elsewhere", async () => {
  const examples = parseExamples(PAGE);
  assert.deepEqual(
    examples.map(({ line, expected }) => [line, expected?.kind]),
    [
      [2, "text"],
      [16, "json"],
      [27, "text"],
    ],
  );
  for (const example of examples) {
    assert.ok(matches(example, await runExample(example, "http://x")), example.command);
  }
});

test("an output that differs in more than its times is noticed", () => {
  const [text, json] = parseExamples(PAGE);
  assert.ok(text !== undefined && json !== undefined);
  assert.ok(!matches(text, "two"));
  assert.ok(!matches(text, "one\nmore"));
  const at = '"at":"2026-11-21T10:00:00.000Z"';
  assert.ok(matches(json, `{${at},"etag":"\\"abcdefghijkl.2\\""}`));
  assert.ok(!matches(json, `{${at},"etag":"\\"abcdefghijkl.3\\""}`), "another version");
  assert.ok(!matches(json, `{"at":"2026-11-21","etag":"\\"abcdefghijkl.2\\""}`));
  assert.ok(!matches(json, "no json"));
});

test("an example that fails says so", async () => {
  const example = { line: 7, command: "echo no >&2; exit 3", expected: undefined };
  await assert.rejects(runExample(example, "http://x"), /line 7 ended with 3: no/);
});
