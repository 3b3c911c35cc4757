import assert from "node:assert/strict";
import { test } from "node:test";
import { formatLogLine } from "./log-lines.ts";
import { pinoLog } from "./pino.ts";

function linesOf(options: { readonly readable: boolean }): {
  readonly lines: string[];
  readonly log: ReturnType<typeof pinoLog>;
} {
  const lines: string[] = [];
  const log = pinoLog({ level: "info", ...options, write: (line) => lines.push(line) });
  return { lines, log };
}

test("on a terminal a record is a line with its time, level, message and fields", () => {
  const { lines, log } = linesOf({ readable: true });
  log.info({ port: 5000, store: "SQLite 3" }, "serving");
  log.warn({}, "careful");
  log.debug({}, "unseen");
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? "", /^\d\d:\d\d:\d\d\.\d{3} serving port=5000 store=SQLite 3\n$/);
  assert.match(lines[1] ?? "", /^\d\d:\d\d:\d\d\.\d{3} WARN careful\n$/);
});

test("an error keeps its stack and its causes, in both forms", () => {
  const error = new Error("outer", { cause: new Error("inner") });
  for (const readable of [true, false]) {
    const { lines, log } = linesOf({ readable });
    log.error({ err: error }, "failed");
    const [line = ""] = lines;
    assert.match(line, /outer/);
    assert.match(line, /inner/);
    assert.match(line, /log-lines\.test/);
    if (!readable) assert.equal((JSON.parse(line) as { level: string }).level, "error");
  }
});

test("a line that is no JSON is shown as it is", () => {
  assert.equal(formatLogLine("hello\n"), "hello\n");
  assert.equal(formatLogLine("null\n"), "null\n");
});
