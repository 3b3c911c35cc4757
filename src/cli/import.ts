import type { Invocation } from "./commands.ts";
import { ImportSource } from "./copy/import-source.ts";
import { openTarget } from "./copy/open.ts";
import { firstKeyOf, notEmpty, runCopy } from "./copy/run.ts";
import type { Source, SourceKey } from "./copy/source.ts";
import { StoreSink } from "./copy/store-sink.ts";
import { UsageError } from "./parse.ts";

/** Reads an export from standard input into a store. */
export async function run({ args, settings }: Invocation): Promise<number> {
  if (process.stdin.isTTY) {
    throw new UsageError("Give the export on standard input: vss import <url> < export.ndjson");
  }
  const target = await openTarget(args[0] ?? "", settings);
  try {
    const first = await firstKeyOf(target);
    const lines = new ImportSource(process.stdin);
    return await runCopy({
      source: first === undefined || settings.intoExisting ? lines : startingWith(lines, first),
      makeSink: ({ patience, progress, note, leaveOut }) =>
        Promise.resolve(
          new StoreSink(target, {
            patience,
            isEmpty: first === undefined,
            intoExisting: settings.intoExisting,
            onWritten: (entries) => progress.add(entries),
            onPresent: (versions) => progress.skip(versions),
            onConflict: note,
            onLeftOut: leaveOut,
          }),
        ),
      verb: "Imported",
      settings,
    });
  } finally {
    await target.close();
  }
}

/**
 * The same source, refused unless its first key is the target's: only then was the target filled by
 * an earlier run of this import, for that begins with it. What else differs is refused key by key.
 */
function startingWith(source: Source, first: string): Source {
  async function* pages(): AsyncGenerator<readonly SourceKey[], void, undefined> {
    let isFirst = true;
    for await (const page of source.pages()) {
      if (isFirst && page[0]?.key !== first) throw notEmpty(first);
      isFirst = false;
      yield page;
    }
    if (isFirst) throw notEmpty(first);
  }
  return {
    pages,
    total: async () => source.total(),
    entries: (wanted) => source.entries(wanted),
    again: async (keys) => source.again(keys),
  };
}
