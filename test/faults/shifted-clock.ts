import { globSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Where Debian's package libfaketime puts it, on any architecture. */
export const CLOCK_LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1";

/**
 * A wall clock for one process that can be stepped, by the library of Debian's package libfaketime;
 * its monotonic clock stays as it is.
 */
export class ShiftedClock {
  /** What a program is started under to have this clock. */
  readonly under: readonly string[];
  readonly #file: string;

  private constructor(file: string, library: string) {
    this.#file = file;
    this.under = [
      "env",
      `LD_PRELOAD=${library}`,
      `FAKETIME_TIMESTAMP_FILE=${file}`,
      "FAKETIME_CACHE_DURATION=1",
      "FAKETIME_DONT_FAKE_MONOTONIC=1",
      "NO_FAKE_STAT=1",
    ];
  }

  static async make(folder: string): Promise<ShiftedClock> {
    const [library] = globSync(CLOCK_LIBRARY);
    if (library === undefined) {
      throw new Error("A clock that steps needs libfaketime: apt-get install libfaketime");
    }
    const clock = new ShiftedClock(join(folder, "clock"), library);
    await clock.stepTo(0);
    return clock;
  }

  /** Sets the clock to so many seconds after the true time, which takes it up to two seconds. */
  async stepTo(seconds: number): Promise<void> {
    await writeFile(`${this.#file}.new`, `${seconds < 0 ? "" : "+"}${seconds}\n`);
    await rename(`${this.#file}.new`, this.#file);
  }
}
