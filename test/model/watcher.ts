import assert from "node:assert/strict";
import type { StateApi, WatchEvent } from "../../src/api.ts";
import type { Random } from "./random.ts";
import { CaughtUpCheck, KeyCheck, PrefixCheck, type ToldCheck } from "./watch-checks.ts";
import { toLine, toTold, type Marks, type Told, type Writes } from "./watch-told.ts";

/** What to watch: one key, from now on or after a version, or a prefix from now on. */
export type Watched =
  | { readonly key: string; readonly after: number | "now" }
  | { readonly prefix: string };

/** A reader that resumes from ids of events, and notes all that it is told. */
export class Watcher {
  readonly #watched: Watched;
  /**
   * Each is what one reader was told from its first call to its last. A reader that goes back to an
   * earlier event counts as another one, which was told no more than that yet.
   */
  readonly #views: Told[][];
  #view: Told[] = [];
  #lastEventId: string | undefined;
  #told = 0;

  constructor(watched: Watched) {
    this.#watched = watched;
    this.#views = [this.#view];
  }

  get name(): string {
    const watched = this.#watched;
    if ("prefix" in watched) return `a watcher of the prefix ${watched.prefix}`;
    const { key, after } = watched;
    return `a watcher of ${key} from ${after}`;
  }

  /** How often it was told something, be it that the feed was lost. */
  get told(): number {
    return this.#told;
  }

  /** Begins a call, where the last one ended. */
  call(engine: StateApi, signal: AbortSignal, marks: Marks): AsyncIterable<WatchEvent> {
    const watched = this.#watched;
    const lastEventId = this.#lastEventId;
    const first = "key" in watched ? watched.after : "now";
    this.#view.push({ type: "watch", from: lastEventId === undefined ? first : "id", marks });
    const resume = lastEventId === undefined ? {} : { lastEventId };
    const options = { ...resume, values: true, signal };
    if ("prefix" in watched) return engine.watchPrefix({ ...options, prefix: watched.prefix });
    const { key, after } = watched;
    if (lastEventId !== undefined || after === "now") return engine.watch(key, options);
    return engine.watch(key, { ...options, after });
  }

  take(event: WatchEvent, marks: Marks): void {
    const told = toTold(event, marks);
    assert.ok(!("key" in told) || this.#isWatched(told.key), `${this.name} is told of another key`);
    this.#told += 1;
    this.#lastEventId = event.id;
    this.#view.push(told);
  }

  /** The call has failed. A reader of a prefix from before the feed's start begins anew. */
  lose(code: string): void {
    this.#told += 1;
    this.#view.push({ type: "lost", code });
    if (code !== "cursor_expired") return;
    assert.ok("prefix" in this.#watched, "a reader of a key can go on from its history");
    this.#lastEventId = undefined;
  }

  /** Goes back to some event that it was told: the next call resumes from there. */
  goBack(random: Random): void {
    if (this.#lastEventId === undefined) return;
    const places = this.#view.flatMap((one, place) => ("id" in one ? [{ place, id: one.id }] : []));
    const { place, id } = random.pick(places);
    this.#lastEventId = id;
    this.#view = this.#view.slice(0, place + 1);
    this.#views.push(this.#view);
  }

  lines(writes: readonly Writes[]): readonly string[] {
    const views = this.#views.map((view) => view.map((told) => toLine(told, writes)));
    return [`${this.name} was told:`, ...views.flat()];
  }

  /** Checks what each reader was told; the last one has to have been told everything. */
  check(writes: readonly Writes[], isFeedWhole: boolean): void {
    const watched = writes.filter(({ key }) => this.#isWatched(key));
    for (const view of this.#views) {
      const checks: ToldCheck[] = watched.map((ofKey) =>
        "key" in this.#watched ? new KeyCheck(ofKey, isFeedWhole) : new PrefixCheck(ofKey),
      );
      checks.push(new CaughtUpCheck());
      const lines = [`${this.name} was told:`];
      try {
        for (const told of view) {
          lines.push(toLine(told, writes));
          for (const check of checks) check.take(told);
        }
        if (view === this.#view) for (const check of checks) check.end();
      } catch (error) {
        const what = error instanceof Error ? error.message : String(error);
        lines.unshift(what);
        lines.push(...watched.flatMap((ofKey) => ofKey.lines()));
        throw new Error(lines.join("\n"), { cause: error });
      }
    }
  }

  #isWatched(key: string): boolean {
    const watched = this.#watched;
    return "key" in watched ? key === watched.key : key.startsWith(watched.prefix);
  }
}
