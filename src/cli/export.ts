import { once } from "node:events";
import { systemClock } from "../telemetry/clock.ts";
import type { Invocation } from "./commands.ts";
import { ExportSink } from "./copy/export-sink.ts";
import { openSource } from "./copy/open.ts";
import { Patience } from "./copy/patience.ts";
import { runCopy } from "./copy/run.ts";
import { StoreSource } from "./copy/store-source.ts";

/** Writes every version of every key to standard output, one line of JSON each. */
export async function run({ args, settings }: Invocation): Promise<number> {
  process.stdout.on("error", onOutputError);
  const source = await openSource(args[0] ?? "", settings);
  try {
    const code = await runCopy({
      source: new StoreSource(source, new Patience(settings.connectTimeoutMs, systemClock)),
      makeSink: ({ progress, leaveOut }) =>
        Promise.resolve(
          new ExportSink({
            write,
            onWritten: (entries) => progress.add(entries),
            onAbandoned: (key) => leaveOut(key, "kept changing; it was left out"),
          }),
        ),
      verb: "Exported",
      settings,
    });
    await flushed();
    return code;
  } finally {
    await source.close();
  }
}

/** Whoever reads the export may stop early, as `head` does; there is nobody left to write for. */
function onOutputError(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") process.stderr.write(`vss export: ${error.message}\n`);
  process.exit(1);
}

/** Until whoever reads has been handed everything: the process ends soon after its command. */
function flushed(): Promise<void> {
  return new Promise((resolve) => process.stdout.write("", () => resolve()));
}

async function write(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, "drain");
}
