import { keyAfter } from "../key.ts";
import type { Store } from "../store.ts";
import type { Invocation } from "./commands.ts";
import { openSource, openTarget } from "./copy/open.ts";
import { firstKeyOf, notEmpty, runCopy } from "./copy/run.ts";
import { Patience } from "./copy/patience.ts";
import { StoreSink } from "./copy/store-sink.ts";
import { StoreSource } from "./copy/store-source.ts";
import { UsageError } from "./parse.ts";
import { systemClock } from "../telemetry/clock.ts";

const PAGE_KEYS = 500;

/** Copies every version of every key from one store to another. */
export async function run({ args, settings }: Invocation): Promise<number> {
  const [from = "", to = ""] = args;
  if (from === to) throw new UsageError("The source and the target are the same store.");
  const source = await openSource(from, settings);
  try {
    const target = await openTarget(to, settings);
    try {
      const isEmpty = (await firstKeyOf(target)) === undefined;
      if (!isEmpty && !settings.intoExisting) await assertPartOf(source, target);
      return await runCopy({
        source: new StoreSource(source, new Patience(settings.connectTimeoutMs, systemClock)),
        makeSink: ({ patience, progress, note, leaveOut }) =>
          Promise.resolve(
            new StoreSink(target, {
              patience,
              isEmpty,
              intoExisting: settings.intoExisting,
              onWritten: (entries) => progress.add(entries),
              onPresent: (versions) => progress.skip(versions),
              onConflict: note,
              onLeftOut: leaveOut,
            }),
          ),
        verb: "Copied",
        settings,
      });
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/**
 * A target that holds nothing but what an earlier run copied from this source is gone on with. A key
 * keeps its incarnation when it is copied, so what is the source's can be told from all else.
 */
async function assertPartOf(source: Store, target: Store): Promise<void> {
  let from = "";
  for (;;) {
    const page = await target.keys({ from, to: undefined, limit: PAGE_KEYS });
    const found = await source.read(
      page.map(({ key }) => ({ key, select: "latest", value: false })),
    );
    for (const [index, { key, incarnation, version }] of page.entries()) {
      const entry = found[index];
      const isPart =
        entry !== undefined &&
        entry !== "trimmed" &&
        entry.incarnation === incarnation &&
        entry.version >= version;
      if (!isPart) throw notEmpty(key);
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_KEYS) return;
    from = keyAfter(last.key);
  }
}
