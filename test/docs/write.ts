import { readFile, writeFile } from "node:fs/promises";

import { serve } from "../http/serve.ts";
import { matches, parseExamples, runExample, type Expected } from "./examples.ts";

/**
 * Runs the examples of the pages named on the command line, and writes what they print into the
 * pages, where it differs: `node test/docs/write.ts docs/http-api.md`.
 */
for (const page of process.argv.slice(2)) {
  let text = await readFile(page, "utf8");
  await using served = await serve();
  let shift = 0;
  for (const example of parseExamples(text)) {
    const output = await runExample(example, served.url);
    const { expected } = example;
    if (expected === undefined || matches(example, output)) continue;
    const written = `${layOut(expected, output).trimEnd()}\n`;
    text = text.slice(0, expected.start + shift) + written + text.slice(expected.end + shift);
    shift += written.length - (expected.end - expected.start);
  }
  await writeFile(page, text);
}

/** Long JSON goes over several lines. */
function layOut({ kind }: Expected, output: string): string {
  const isLong = output.trim().length > 100;
  return kind === "json" && isLong ? JSON.stringify(JSON.parse(output), undefined, 2) : output;
}
