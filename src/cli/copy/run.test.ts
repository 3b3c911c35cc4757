import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { endWithThis } from "../../../test/servers/children.ts";
import { removeFolder, temporaryFolder } from "../../../test/servers/process.ts";
import { LAUNCHER, PATIENT } from "../../../test/cli/vss.ts";
import { open } from "../../index.ts";
import { parseKey } from "../../key.ts";
import { parseCommandLine } from "../parse.ts";
import { ExportSink } from "./export-sink.ts";
import { runCopy } from "./run.ts";
import type { Source, SourceKey } from "./source.ts";

/** A source with one key, which is another one each time that its versions are read. */
function everChanging(): Source {
  const parsed = parseKey("restless");
  assert.ok(parsed.ok);
  const { key } = parsed;
  const info: SourceKey = {
    key,
    incarnation: "first",
    version: 1,
    createdAt: 0,
    digest: "0".repeat(64),
    size: 0,
  };
  return {
    total: () => Promise.resolve(undefined),
    async *pages() {
      yield Promise.resolve([info]);
    },
    async *entries(wanted) {
      if (wanted.length > 0) yield Promise.resolve({ entries: [], gone: [key] });
    },
    again: () => Promise.resolve([info]),
  };
}

test("a copy that had to leave a key out does not end with 0", async () => {
  const parsed = parseCommandLine(["export", "sqlite:source.db"], {});
  assert.equal(parsed.kind, "run");
  const written: string[] = [];
  const code = await runCopy({
    source: everChanging(),
    makeSink: ({ leaveOut }) =>
      Promise.resolve(
        new ExportSink({
          write: (piece) => Promise.resolve(void written.push(piece)),
          onWritten: () => {},
          onAbandoned: (key) => leaveOut(key, "kept changing; it was left out"),
        }),
      ),
    verb: "Exported",
    settings: parsed.settings,
  });
  assert.equal(code, 1);
  assert.match(written.join(""), /"keys":0/);
});

test("an import that fails in the middle says what it has imported until then", async (t) => {
  const folder = await temporaryFolder("run");
  t.after(() => removeFolder(folder));
  const source = `sqlite:${join(folder, "source.db")}`;
  const state = await open(source, { timeoutMs: 60_000 });
  await Promise.all(["a", "b", "c", "d", "e"].map((key) => state.put(key, "x".repeat(6_000_000))));
  await state.close();
  const vss = (args: readonly string[], input: string): ReturnType<typeof spawnSync> =>
    spawnSync(process.execPath, [LAUNCHER, ...args], {
      input,
      maxBuffer: 2 ** 27,
      env: { ...process.env, ...PATIENT },
    });
  const whole = String(vss(["export", source], "").stdout);
  const broken = whole.slice(0, whole.lastIndexOf('"value"'));
  const { status, stderr } = vss(["import", `sqlite:${join(folder, "target.db")}`], broken);
  assert.equal(status, 1);
  assert.match(String(stderr), /Imported [1-4] versions of .* Then it failed:/);
  assert.match(String(stderr), /Line 11 .* What came before it may have been imported\./);
});

/** A copy of a source that takes for ever to say how much it holds. */
const COUNTING = `
import { runCopy } from "${new URL("run.ts", import.meta.url).href}";

setInterval(() => {}, 60_000);
const total = () => {
  process.stdout.write("counting");
  return new Promise(() => {});
};
process.exit(await runCopy({ source: { total }, makeSink: undefined, verb: "Copied", settings: {} }));
`;

test("a signal stops a copy that is still counting, with one line", async (t) => {
  const folder = await temporaryFolder("run");
  t.after(() => removeFolder(folder));
  const file = join(folder, "counting.mjs");
  await writeFile(file, COUNTING);
  const child = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "pipe"] });
  endWithThis(child);
  const said = text(child.stderr);
  await once(child.stdout, "data");
  child.kill("SIGTERM");
  const [code] = (await once(child, "close")) as [number | null];
  assert.match(await said, /^Stopped\. Copied 0 versions .* goes on from there\.\n$/);
  assert.equal(code, 143);
});
