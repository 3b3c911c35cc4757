import { existsSync } from "node:fs";
import type { Store } from "../../store.ts";
import { openStore } from "../../stores/index.ts";
import { parseUrl as parseSqliteUrl } from "../../stores/sqlite/options.ts";
import { systemClock } from "../../telemetry/clock.ts";
import type { Settings } from "../config.ts";
import { makeLog } from "../log.ts";
import { UsageError } from "../parse.ts";

/**
 * Opens a store that already exists, to read from. A mistyped file must not become a new store that
 * is empty.
 */
export async function openSource(url: string, settings: Settings): Promise<Store> {
  if (url.startsWith("sqlite:")) {
    const { file } = parseSqliteUrl(url);
    if (!existsSync(file)) throw new UsageError(`There is no store in the file ${file}.`);
  }
  return openTarget(url, settings);
}

/** Opens a store to write to. */
export async function openTarget(url: string, settings: Settings): Promise<Store> {
  if (url.startsWith("memory:")) {
    throw new UsageError("A memory: store lives in one server's process; nothing can be copied.");
  }
  return openStore(url, {
    clock: systemClock,
    log: makeLog(settings.logLevel, [url]),
    timeoutMs: settings.storeTimeoutMs,
    connectTimeoutMs: settings.connectTimeoutMs,
  });
}
