import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { missingOptional } from "../scripts/complete-lock.ts";
import { COMMANDS } from "../src/cli/commands.ts";
import { SETTINGS } from "../src/cli/config.ts";
import { STORE_SCHEMES } from "../src/stores/index.ts";
import { STORE_NAMES } from "./servers/selection.ts";

/** Checks of the repository itself: what a reader trips over, and what no tool of ours looks at. */
const ROOT = join(import.meta.dirname, "..");
const FOLDERS = ["src", "test", "bench", "scripts", "bin", "examples", "web"];
const CODE = globSync(
  FOLDERS.map((folder) => `${folder}/**/*.{ts,mjs,tsx}`),
  { cwd: ROOT },
);
const PAGES = globSync(["*.md", "docs/**/*.md"], { cwd: ROOT });

/** The formatter breaks code at 100 characters; it leaves texts and comments alone. */
const LINE_CHARS_MAX = 110;
const FILE_LINES_MAX = 400;

function read(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

/** Lines that match, each as `file:line: text`. */
function findLines(files: readonly string[], isWrong: (line: string) => boolean): string[] {
  return files.flatMap((file) =>
    read(file)
      .split("\n")
      .flatMap((line, index) => (isWrong(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [])),
  );
}

test("files are short enough to be read, and so are their lines", () => {
  const long = CODE.filter((file) => read(file).split("\n").length - 1 > FILE_LINES_MAX);
  assert.deepEqual(long, []);
  const isWrong = (line: string): boolean =>
    line.length > LINE_CHARS_MAX && !/["'`]|https?:/.test(line);
  assert.deepEqual(findLines(CODE, isWrong), []);
});

test("nothing is left over: no notes to self, no narrowed or skipped test, no machine's path", () => {
  // Spelled so that this line does not match itself.
  const leftover =
    /\b(?:TOD[O]|FIXM[E]|HAC[K]|XX[X])\b|\b(?:test|it|describe|suite)\.(?:only|skip|todo)\(|\b(?:skip|only|todo): true|(?:^|[\s"'(=])\/(?:work|home|root|Users)\/|debugge[r];/;
  assert.deepEqual(
    findLines([...CODE, ...PAGES], (line) => leftover.test(line)),
    [],
  );
});

test("the server assigns no function literal to a property", () => {
  // V8 allocates such a function in its old generation, with all that it sees (docs/decisions/0020).
  const literal = /(?:async )?(?:function\b|\([^()]*\)(?:: [^=]+)? =>|\w+ =>)/.source;
  const assigned = new RegExp(`(?:\\.#?\\w+|\\[\\w+\\]) (?:\\?\\?)?= \\(?${literal}`);
  const files = CODE.filter((file) => file.startsWith("src/") && !file.endsWith(".test.ts"));
  assert.deepEqual(
    findLines(files, (line) => assigned.test(line)),
    [],
  );
  assert.match("this.#rejectCurrent = (error) => {", assigned);
});

/** GitHub's name for a heading. */
function anchorOf(heading: string): string {
  return heading
    .replaceAll(/[`*]/g, "")
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

test("every link in the documents leads somewhere", () => {
  const broken: string[] = [];
  for (const page of PAGES) {
    const text = read(page).replaceAll(/^```[\s\S]*?^```$/gm, "");
    for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = "", anchor] = target.split("#", 2);
      const file = path === "" ? page : join(dirname(page), path);
      const isThere = existsSync(join(ROOT, file));
      const headings = isThere && anchor !== undefined ? read(file).matchAll(/^#+ (.*)$/gm) : [];
      const anchors = [...headings].map(([, heading = ""]) => anchorOf(heading));
      if (!isThere || (anchor !== undefined && !anchors.includes(anchor))) {
        broken.push(`${page}: ${target}`);
      }
    }
  }
  assert.deepEqual(broken, []);
});

test("every file and folder that the documents name is there", () => {
  const missing: string[] = [];
  for (const page of PAGES) {
    const names = read(page).matchAll(/`((?:src|test|docs|scripts|bench|bin|web)\/[\w./-]*)`/g);
    for (const [, name = ""] of names) {
      if (!existsSync(join(ROOT, name))) missing.push(`${page}: ${name}`);
    }
  }
  assert.deepEqual(missing, []);
});

test("every symbol that ARCHITECTURE.md names beside a file is in that file", () => {
  const missing: string[] = [];
  const named = read("ARCHITECTURE.md").matchAll(
    /`(\w+)`\s+\(`((?:src|test|scripts)\/[\w./-]+)`\)/g,
  );
  let count = 0;
  for (const [, symbol = "", file = ""] of named) {
    count += 1;
    if (!new RegExp(`\\b${symbol}\\b`).test(read(file))) missing.push(`${symbol} in ${file}`);
  }
  assert.deepEqual(missing, []);
  assert.ok(count > 10, "the page names its symbols as `symbol` (`file`)");
});

test("every store stands in every table", () => {
  const stores = read("docs/stores.md");
  for (const scheme of STORE_SCHEMES) {
    assert.ok(stores.includes(`\`${scheme}:`), `docs/stores.md has no ${scheme}:`);
  }
  for (const name of STORE_NAMES) {
    const file = `test/conformance/${name}.test.ts`;
    assert.ok(existsSync(join(ROOT, file)), `${file} is missing`);
  }
  const folders = globSync("src/stores/*/store.ts", { cwd: ROOT });
  const loaded = read("src/stores/index.ts");
  for (const file of folders) {
    assert.ok(loaded.includes(file.replace("src/stores", ".")), `${file} has no scheme`);
  }
});

test("every setting is taken by some command", () => {
  const taken = new Set(Object.values(COMMANDS).flatMap(({ settings }) => settings));
  assert.deepEqual(
    Object.keys(SETTINGS).filter((name) => !taken.has(name as keyof typeof SETTINGS)),
    [],
  );
});

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

test("every package is pinned, and a decision says why it was taken", () => {
  const { dependencies, devDependencies } = JSON.parse(read("package.json")) as Manifest;
  const reasons = globSync("docs/decisions/*.md", { cwd: ROOT }).map(read).join("\n");
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    assert.match(version, /^\d+\.\d+\.\d+$/, name);
    assert.ok(reasons.includes(`\`${name}\``), `docs/decisions says nothing of ${name}`);
  }
});

test("the lock file holds for every platform", () => {
  const lock = JSON.parse(read("package-lock.json")) as Parameters<typeof missingOptional>[0];
  const missing = [...missingOptional(lock).keys()];
  assert.deepEqual(missing, [], "run: node scripts/complete-lock.ts");
});

test("decisions are numbered without a gap, dated, and say what they decide", () => {
  const files = globSync("docs/decisions/*.md", { cwd: ROOT }).toSorted();
  for (const [index, file] of files.entries()) {
    const number = String(index + 1).padStart(4, "0");
    assert.match(file, new RegExp(`/${number}-[a-z0-9-]+\\.md$`));
    const text = read(file);
    assert.match(text, new RegExp(`^# ${number}: `), file);
    assert.match(text, /^Date: \d{4}-\d\d-\d\d\. Status: (accepted|superseded by \d{4})\.$/m, file);
    for (const part of ["Context", "Decision", "Consequences"]) {
      assert.match(text, new RegExp(`^## ${part}$`, "m"), `${file} has no ${part}`);
    }
  }
});
