import { spawn } from "node:child_process";
import { once } from "node:events";
import { isDeepStrictEqual } from "node:util";

/**
 * Runs the examples of a Markdown page. The convention:
 *
 * - Each block fenced as `sh` is run by bash, one after the other, against one fresh server. It says
 *   `http://127.0.0.1:5000`, which is replaced by the server's own address.
 * - A block fenced as `json`, `text` or `http` right after it is what it prints. JSON may be laid out
 *   over several lines. Times, ETags, cursors and durations stand for any other of their kind, and a
 *   line `…` for any lines.
 * - A block that follows a stream (`curl -N`) is stopped once it has printed what it should.
 * - A block that a test of its own runs is marked: `<!-- not run: why -->` on the line before.
 */
export interface Example {
  readonly line: number;
  readonly command: string;
  readonly expected: Expected | undefined;
}

export interface Expected {
  readonly kind: "json" | "text" | "http";
  readonly text: string;
  /** Where the expected text stands in the page, for the writer. */
  readonly start: number;
  readonly end: number;
}

const FENCE = /^```(\w*)\n([\s\S]*?)^```$/gm;
const NOT_RUN = /<!-- not run: [^>]+ -->\n+$/;
const BASE_URL = "http://127.0.0.1:5000";

/** The examples of a page, in order. */
export function parseExamples(page: string): readonly Example[] {
  const blocks = [...page.matchAll(FENCE)].map((match) => ({
    kind: match[1] ?? "",
    text: match[2] ?? "",
    start: match.index,
    end: match.index + match[0].length,
  }));
  return blocks.flatMap((block, index) => {
    if (block.kind !== "sh" || NOT_RUN.test(page.slice(0, block.start))) return [];
    const next = blocks[index + 1];
    const isOutput =
      next !== undefined &&
      /^(json|text|http)$/.test(next.kind) &&
      page.slice(block.end, next.start).trim() === "";
    const line = page.slice(0, block.start).split("\n").length;
    const expected = isOutput ? toExpected(next) : undefined;
    return [{ line, command: block.text, expected }];
  });
}

interface Block {
  readonly kind: string;
  readonly text: string;
  readonly start: number;
}

function toExpected({ kind, text, start }: Block): Expected {
  const textStart = start + "```".length + kind.length + 1;
  const end = textStart + text.length;
  return { kind: kind as Expected["kind"], text, start: textStart, end };
}

/** For a stream that never says what the page shows. */
const EXAMPLE_TIMEOUT_MS = 60_000;

/** Runs one example, and answers what it printed. */
export async function runExample(example: Example, url: string): Promise<string> {
  const command = example.command.replaceAll(BASE_URL, url);
  const child = spawn("bash", ["-euo", "pipefail", "-c", command], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  let errors = "";
  const isStream = / -\w*N/.test(command);
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    if (isStream && matches(example, restore(output, url))) stop();
  });
  // Also what was printed before the end may come after it, and there is nothing to stop then.
  const stop = (): void => {
    const isRunning = child.exitCode === null && child.signalCode === null;
    if (child.pid !== undefined && isRunning) process.kill(-child.pid, "SIGKILL");
  };
  const timer = setTimeout(stop, EXAMPLE_TIMEOUT_MS);
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  clearTimeout(timer);
  if (!isStream && code !== 0) {
    throw new Error(`line ${example.line} ended with ${code ?? signal}: ${errors}\n${output}`);
  }
  return restore(output, url);
}

/** What was printed, as a reader with a server on the usual port would see it. */
function restore(output: string, url: string): string {
  return output
    .replaceAll("\r\n", "\n")
    .replaceAll(url, BASE_URL)
    .replaceAll(url.slice("http://".length), BASE_URL.slice("http://".length));
}

/** Whether an output is what the page shows, but for what differs from run to run. */
export function matches({ expected }: Example, output: string): boolean {
  if (expected === undefined) return true;
  const [wanted, got] = [normalize(expected.text), normalize(output)];
  if (expected.kind === "json") {
    try {
      return isDeepStrictEqual(JSON.parse(got), JSON.parse(wanted));
    } catch {
      return false;
    }
  }
  const parts = wanted.split(/^…$/m).map((part) => escape(part.trim()));
  return new RegExp(`^${parts.join("[^]*")}$`).test(got);
}

/** Replaces what is new in every run by a word for its kind. */
function normalize(text: string): string {
  return text
    .replaceAll("\r\n", "\n")
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, "<time>")
    .replaceAll(/(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/g, "<date>")
    .replaceAll(/\\?"[\w-]{12}(\.\d+)\\?"/g, "<etag>$1")
    .replaceAll(/^id: \S+$/gm, "id: <cursor>")
    .replaceAll(/("next":\s*)"[\w-]+"/g, '$1"<cursor>"')
    .replaceAll(/([?&]after=)[\w-]+/g, "$1<cursor>")
    .replaceAll(/^Content-Length: \d+$/gm, "Content-Length: <n>")
    .replaceAll(/"<etag>(\.\d+)"|<etag>(\.\d+)/g, (_, a: string, b: string) => `"<etag>${a ?? b}"`)
    .trim();
}

function escape(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
