import type { Clock } from "../../telemetry/clock.ts";
import type { SourceEntry, Total } from "./source.ts";

const REDRAW_MS = 200;
const BAR_CELLS = 24;

export interface ProgressOptions {
  readonly clock: Clock;
  /** Draws a line over the last one; undefined where nobody watches. */
  readonly draw: ((line: string) => void) | undefined;
}

/** Counts what was copied, and draws it on a terminal. */
export class Progress {
  readonly #options: ProgressOptions;
  readonly #startedAt: number;
  #total: Total | undefined;
  #drawnAt = -Infinity;
  #lastKey: string | undefined;
  #keys = 0;
  #versions = 0;
  #bytes = 0;
  #present = 0;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#startedAt = options.clock.monotonic();
  }

  /** How much there is; undefined where it can't be known: there is then no bar and no time left. */
  expect(total: Total | undefined): void {
    this.#total = total;
  }

  /** Versions come in the order of their keys. */
  add(entries: readonly SourceEntry[]): void {
    for (const { key, size } of entries) {
      if (key !== this.#lastKey) this.#keys += 1;
      this.#lastKey = key;
      this.#versions += 1;
      this.#bytes += size;
    }
    const now = this.#options.clock.monotonic();
    if (now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    this.#options.draw?.(this.#line());
  }

  /** Versions that were there before. */
  skip(versions: number): void {
    this.#present += versions;
  }

  /** Whether anything was copied. */
  get hasAny(): boolean {
    return this.#versions > 0;
  }

  /** One sentence about the whole. */
  summary(verb: string): string {
    const seconds = (this.#elapsedMs / 1000).toFixed(1);
    const amount = `${count(this.#versions)} versions of ${count(this.#keys)} keys`;
    const present =
      this.#present === 0 ? "" : `; ${count(this.#present)} versions were there before`;
    return `${verb} ${amount} (${bytesText(this.#bytes)}) in ${seconds} s${present}.`;
  }

  get #elapsedMs(): number {
    return this.#options.clock.monotonic() - this.#startedAt;
  }

  #line(): string {
    const rate = this.#versions / Math.max(0.001, this.#elapsedMs / 1000);
    const counts = [
      `${count(this.#versions)} versions`,
      `${count(this.#keys)} keys`,
      bytesText(this.#bytes),
      `${count(Math.round(rate))}/s`,
    ];
    const total = this.#total;
    if (total === undefined) return counts.join(", ");
    const done = this.#versions + this.#present;
    const share = total.versions === 0 ? 1 : Math.min(1, done / total.versions);
    const cells = Math.round(share * BAR_CELLS);
    const bar = `[${"#".repeat(cells)}${"-".repeat(BAR_CELLS - cells)}]`;
    const left = timeText((total.versions - done) / Math.max(0.001, rate));
    return `${bar} ${Math.floor(share * 100)} % ${counts.join(", ")}, ${left} left`;
  }
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}

function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let amount = bytes;
  let unit = 0;
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? amount : amount.toFixed(1)} ${units[unit]}`;
}

function timeText(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  const text = [minutes, whole % 60].map((part) => String(part).padStart(2, "0")).join(":");
  return hours === 0 ? text : `${hours}:${text}`;
}
