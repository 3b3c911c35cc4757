import { constants } from "node:os";
import type { Key } from "../../key.ts";
import type { Store } from "../../store.ts";
import { systemClock } from "../../telemetry/clock.ts";
import type { Settings } from "../config.ts";
import { UsageError } from "../parse.ts";
import { Patience } from "./patience.ts";
import { Progress } from "./progress.ts";
import { copyAll, type Sink, type Source } from "./source.ts";

/** What a copy reports to while it runs. */
export interface Report {
  readonly progress: Progress;
  readonly patience: Patience;
  /** Says one line about one key. */
  readonly note: (key: Key, what: string) => void;
  /** The same of a key that is not copied and should have been: the exit code then tells, too. */
  readonly leaveOut: (key: Key, what: string) => void;
}

export interface CopyParts {
  readonly source: Source;
  readonly makeSink: (report: Report) => Promise<Sink>;
  /** As in "Copied 3 versions". */
  readonly verb: string;
  readonly settings: Settings;
}

/** Copies with a line of progress on a terminal, until the end or a signal. Answers the exit code. */
export async function runCopy({ source, makeSink, verb, settings }: CopyParts): Promise<number> {
  const stop = new AbortController();
  // The input may be a pipe that brings nothing, so a stop does not wait for the next batch.
  const stopped = new Promise<never>((_resolve, reject) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) {
      process.once(name, () => {
        stop.abort(name);
        reject(new Error(name));
      });
    }
  });
  // It may come before anyone waits for it.
  stopped.catch(() => {});
  const screen = new Screen();
  const progress = new Progress({
    clock: systemClock,
    draw: screen.isTerminal ? (line) => screen.draw(line) : undefined,
  });
  let notes = 0;
  let leftOut = 0;
  const note = (key: Key, what: string): void => {
    notes += 1;
    screen.print(`${JSON.stringify(key)}: ${what}.`);
  };
  const leaveOut: Report["leaveOut"] = (key, what) => {
    leftOut += 1;
    note(key, what);
  };
  try {
    progress.expect(await Promise.race([source.total(), stopped]));
    const patience = new Patience(settings.connectTimeoutMs, systemClock);
    const sink = await makeSink({ progress, patience, note, leaveOut });
    await Promise.race([copyAll(source, sink, stop.signal), stopped]);
  } catch (error) {
    screen.clear();
    if (!stop.signal.aborted) {
      // The error tells of one call; what was copied before it stays.
      if (progress.hasAny) screen.print(`${progress.summary(verb)} Then it failed:`);
      throw error;
    }
    screen.print(`Stopped. ${progress.summary(verb)} The same command again goes on from there.`);
    return 128 + constants.signals[stop.signal.reason as "SIGINT" | "SIGTERM"];
  }
  screen.print(progress.summary(verb) + (notes === 0 ? "" : ` ${notes} keys are named above.`));
  if (leftOut === 0) return 0;
  screen.print(`Left out: ${leftOut} of them. The same command again tries them again.`);
  return 1;
}

/** Standard error: lines that stay, and on a terminal one that is drawn over. */
class Screen {
  readonly isTerminal = process.stderr.isTTY;

  draw(line: string): void {
    process.stderr.write(`\r\u001B[2K${line.slice(0, process.stderr.columns - 1)}`);
  }

  clear(): void {
    if (this.isTerminal) process.stderr.write("\r\u001B[2K");
  }

  print(line: string): void {
    this.clear();
    process.stderr.write(`${line}\n`);
  }
}

/** The first key of a store; undefined where it is empty. */
export async function firstKeyOf(store: Store): Promise<Key | undefined> {
  const [first] = await store.keys({ from: "", to: undefined, limit: 1 });
  return first?.key;
}

export function notEmpty(key: string): UsageError {
  return new UsageError(
    `The target is not empty: it holds ${JSON.stringify(key)}, which is not the source's. Choose an ` +
      "empty one, or keep what is newer of each key with --into-existing.",
  );
}
