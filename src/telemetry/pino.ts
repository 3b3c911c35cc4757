import { pino, type DestinationStream } from "pino";
import { formatLogLine } from "./log-lines.ts";
import type { Log } from "./log.ts";

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

export interface PinoLogOptions {
  readonly level: LogLevel;
  /** Lines for people where true, one JSON object per line otherwise. */
  readonly readable: boolean;
  /** Takes whole lines, each with its line end. */
  readonly write: (line: string) => void;
}

/** A log made by pino. Errors under the name `err` keep their code, stack and causes. */
export function pinoLog({ level, readable, write }: PinoLogOptions): Log {
  const stream: DestinationStream = {
    write: readable ? (line) => write(formatLogLine(line)) : write,
  };
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
}
