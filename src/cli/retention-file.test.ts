import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { UsageError } from "./parse.ts";
import { retentionRules } from "./retention-file.ts";

const folder = mkdtempSync(join(tmpdir(), "vss-retention-"));
after(() => rmSync(folder, { recursive: true }));

function file(content: unknown): string {
  const path = join(folder, "rules.json");
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const NONE = { keepVersions: undefined, keepAgeMs: undefined, retentionConfig: undefined };

test("nothing is removed unless told", () => {
  assert.deepEqual(retentionRules(NONE), []);
});

test("the flags are the rule of every key, and the file's rules those of their prefixes", () => {
  const rules = [
    { prefix: "logs/", keepVersions: 100, keepAge: "30d" },
    { prefix: "c", keepAge: "1h" },
  ];
  const settings = { keepVersions: 5, keepAgeMs: undefined, retentionConfig: file({ rules }) };
  assert.deepEqual(retentionRules(settings), [
    { prefix: "logs/", keepVersions: 100, keepAgeMs: 30 * 86_400_000 },
    { prefix: "c", keepVersions: undefined, keepAgeMs: 3_600_000 },
    { prefix: "", keepVersions: 5, keepAgeMs: undefined },
  ]);
});

test("a file that is not legal is refused with what is wrong in it", () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    ["{", /can't be read/],
    [[], /is an object with one member, "rules"/],
    [{ rules: [], more: 1 }, /is an object with one member, "rules"/],
    [{ rules: [{ prefix: "a" }] }, /rule 1 of .* needs "keepVersions" or "keepAge"/],
    [{ rules: [{ keepVersions: 1 }] }, /rule 1 of .* needs a "prefix"/],
    [{ rules: [{ prefix: "a", keepVersion: 1 }] }, /alone\.$/],
    [{ rules: [{ prefix: "a", keepVersions: 0 }] }, /"keepVersions" in rule 1 .* not 0/],
    [{ rules: [{ prefix: "a", keepVersions: 1.5 }] }, /"keepVersions" in rule 1 .* not 1\.5/],
    [{ rules: [{ prefix: "a", keepAge: "30" }] }, /"keepAge" in rule 1 .* is a duration/],
    [{ rules: [{ prefix: "a", keepAge: "0s" }] }, /"keepAge" in rule 1 .* is more than 0/],
    [
      {
        rules: [
          { prefix: "a", keepAge: "1d" },
          { prefix: "a", keepAge: "2d" },
        ],
      },
      /two rules for the prefix "a"/,
    ],
  ];
  for (const [content, message] of cases) {
    assert.throws(
      () => retentionRules({ ...NONE, retentionConfig: file(content) }),
      (error: unknown) => {
        assert.ok(error instanceof UsageError, String(error));
        assert.match(error.message, message);
        return true;
      },
    );
  }
});

test("a rule for every key stands in the file or in the flags, not in both", () => {
  const retentionConfig = file({ rules: [{ prefix: "", keepVersions: 5 }] });
  assert.equal(retentionRules({ ...NONE, retentionConfig }).length, 1);
  assert.throws(() => retentionRules({ ...NONE, keepVersions: 3, retentionConfig }), UsageError);
});
