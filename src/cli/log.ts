import type { Log } from "../telemetry/log.ts";
import { pinoLog, type LogLevel } from "../telemetry/pino.ts";
import { maskSecrets, secretsOf } from "./redact.ts";

/**
 * The log of a run, on standard error: lines for people on a terminal, JSON elsewhere. What a driver's
 * error says may quote a store's URL, so passwords are masked in whole lines.
 */
export function makeLog(level: LogLevel, urls: readonly string[]): Log {
  const secrets = urls.flatMap(secretsOf);
  // A line that can't be written, to a full disk or a closed pipe, is lost; the process goes on.
  process.stderr.on("error", () => {});
  return pinoLog({
    level,
    readable: process.stderr.isTTY,
    write: (line) => process.stderr.write(maskSecrets(line, secrets)),
  });
}
