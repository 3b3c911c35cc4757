import assert from "node:assert/strict";
import { mock } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { WatchEvent } from "../../src/api.ts";
import { storeOptions } from "../../src/conformance/context.ts";
import { StateError } from "../../src/errors.ts";
import { FEED_RETENTION_MS_DEFAULT, VALUE_BYTES_DEFAULT } from "../../src/limits.ts";
import { VersionedState } from "../../src/state/versioned-state.ts";
import type { Store } from "../../src/store.ts";
import { SharedMemory } from "../conformance/broken/shared-memory.ts";
import { Random } from "./random.ts";
import { makeLate, randomTurns } from "./watch-late.ts";
import { Writes } from "./watch-told.ts";
import { Watcher } from "./watcher.ts";

const KEYS = ["k1", "k2"];
const PREFIXES = ["k", "k2"];
const WATCHERS_MAX = 6;
const WRITES = 30;
/** Calls that a watcher leaves of its own accord; it stays in the next one. */
const LEAVES = 4;
/** A run is at rest where nobody was told anything for so many turns: no answer takes as long. */
const REST_TURNS = 500;
/** After this many turns a run is taken to hang; good ones have ended several times sooner. */
const TURNS_MAX = 10_000;
/** More than any timer of the engine waits. */
const LONG_WHILE_MS = 60_000;

/** Time stands still. */
const OPTIONS = {
  ...storeOptions({ now: () => Date.UTC(2026, 0, 1), monotonic: () => 0 }),
  maxValueBytes: VALUE_BYTES_DEFAULT,
  feedRetentionMs: FEED_RETENTION_MS_DEFAULT,
  retention: [],
};

/** Something wrong that a run has to find. */
export interface WatchDefect {
  /** What is wrong, as a sentence about whoever has it. */
  readonly what: string;
  /** Spoils the store under the watchers. */
  readonly spoil?: (store: Store) => Store;
  /** Spoils what the watchers are told. */
  readonly tell?: (events: AsyncIterable<WatchEvent>) => AsyncIterable<WatchEvent>;
}

/** One run: everything in it follows from the seed and from turns of the event loop. */
interface Run {
  readonly random: Random;
  /** Engines over one back end: the first is near to it, the second far away. */
  readonly engines: readonly [VersionedState, VersionedState];
  readonly writes: readonly Writes[];
  readonly watchers: readonly Watcher[];
  readonly isFeedTrimmed: boolean;
  readonly end: AbortController;
  readonly tell: NonNullable<WatchDefect["tell"]>;
  writing: number;
  watching: number;
}

/**
 * Lets writers and watchers of a few keys run side by side, and checks that each watcher was told
 * what was written, in order. Answers what happened, as lines that the same seed makes again; fails
 * with the seed and with what one watcher was told.
 */
export async function runWatches(seed: number, defect?: WatchDefect): Promise<readonly string[]> {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const run = await open(seed, defect);
    try {
      await finish(run);
      for (const watcher of run.watchers) watcher.check(run.writes, !run.isFeedTrimmed);
      const missed = run.engines.map(({ stats }) => stats.missedChanges);
      if (missed.some((count) => count > 0)) {
        throw explain(run, `the hubs have missed ${missed.join(" and ")} changes`);
      }
      return toldLines(run);
    } finally {
      run.end.abort();
      await Promise.all(run.engines.map((engine) => engine.close()));
    }
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new Error(`SEED=${seed}: ${what}`, { cause: error });
  } finally {
    mock.timers.reset();
  }
}

async function open(seed: number, defect: WatchDefect | undefined): Promise<Run> {
  const random = new Random(seed);
  const turnsMax = random.pick([0, 1, 3, 8, 20]);
  const distance = { random, turnsMax, isFeedCutOff: random.oneIn(2) };
  const memory = new SharedMemory();
  const url = memory.newUrl();
  const near = await memory.open(url, OPTIONS);
  const far = makeLate(await memory.open(url, OPTIONS), distance);
  const ofPrefixes = random.below(4);
  const watchers = Array.from({ length: 1 + random.below(WATCHERS_MAX) }, () =>
    randomWatcher(random, random.below(3) < ofPrefixes),
  );
  const spoil = defect?.spoil ?? ((store) => store);
  return {
    random,
    engines: [new VersionedState(near, OPTIONS), new VersionedState(spoil(far), OPTIONS)],
    writes: KEYS.map((key) => new Writes(key)),
    watchers,
    isFeedTrimmed: random.oneIn(2),
    end: new AbortController(),
    tell: defect?.tell ?? ((events) => events),
    writing: KEYS.length,
    watching: watchers.length,
  };
}

function randomWatcher(random: Random, isOfPrefix: boolean): Watcher {
  if (isOfPrefix) return new Watcher({ prefix: random.pick(PREFIXES) });
  return new Watcher({ key: random.pick(KEYS), after: random.pick(["now", 0, 2] as const) });
}

async function finish(run: Run): Promise<void> {
  await turn();
  const writers = run.writes.map((writes) => write(run, writes));
  const watchers = run.watchers.map((watcher) => watch(run, watcher));
  try {
    await Promise.all([...writers, ...watchers, untilOver(run)]);
  } catch (error) {
    throw explain(run, error instanceof Error ? error.message : String(error), error);
  }
}

function explain(run: Run, what: string, cause?: unknown): Error {
  const written = run.writes.flatMap((writes) => writes.lines());
  return new Error([what, ...toldLines(run), ...written].join("\n"), { cause });
}

function toldLines({ watchers, writes }: Run): readonly string[] {
  return watchers.flatMap((watcher) => watcher.lines(writes));
}

/** Ends the run once all is written and nothing more is told; fails where that does not come. */
async function untilOver(run: Run): Promise<void> {
  let told = 0;
  let quiet = 0;
  for (let turns = 0; run.watching > 0; turns += 1) {
    assert.ok(turns < TURNS_MAX, `${run.writing} writers and ${run.watching} watchers do not end`);
    await turn();
    if (run.random.oneIn(15)) mock.timers.tick(LONG_WHILE_MS);
    const before = told;
    told = run.watchers.reduce((count, watcher) => count + watcher.told, 0);
    quiet = run.writing > 0 || told > before ? 0 : quiet + 1;
    if (quiet > REST_TURNS) run.end.abort();
  }
}

/** The only writer of a key: puts it, several times at once now and then, and deletes it. */
async function write(run: Run, writes: Writes): Promise<void> {
  const { random } = run;
  const { key, acknowledged } = writes;
  for (let i = 0; i < WRITES; i += 1) {
    const engine = random.pick(run.engines);
    const { alive } = writes;
    if (alive !== undefined && random.oneIn(4)) {
      writes.sent += 1;
      await engine.delete(key);
      acknowledged.push({ ...alive, type: "delete", value: undefined });
    } else {
      const count = random.oneIn(5) ? 3 : 1;
      const values = Array.from({ length: count }, (_, part) => `${key} ${i}.${part}`);
      writes.sent += count;
      const puts = values.map(async (value) => {
        const { incarnation, version } = await engine.put(key, value);
        return { type: "put", incarnation, version, value } as const;
      });
      acknowledged.push(...(await Promise.all(puts)));
    }
    await randomTurns(random, 3);
    if (run.isFeedTrimmed && random.oneIn(8)) {
      // Nothing is kept that was written up to now.
      await engine.store.maintain({ feedRetentionMs: -LONG_WHILE_MS });
    }
  }
  run.writing -= 1;
}

/** Watches until the run is over; leaves a few times before, and comes back. */
async function watch(run: Run, watcher: Watcher): Promise<void> {
  const { random, end } = run;
  await randomTurns(random, 200);
  for (let left = LEAVES; !end.signal.aborted; left -= 1) {
    const leave = new AbortController();
    if (left > 0) void leaveSoon(run, leave);
    await watchOnce(run, watcher, leave);
    leave.abort();
    await randomTurns(random, 30);
    if (left > 0 && random.oneIn(3)) watcher.goBack(random);
  }
  run.watching -= 1;
}

async function leaveSoon({ random }: Run, leave: AbortController): Promise<void> {
  await randomTurns(random, random.pick([20, 200]));
  leave.abort();
}

/** One call, until it is left, or lost as calls may be. */
async function watchOnce(run: Run, watcher: Watcher, leave: AbortController): Promise<void> {
  const { random, end, tell } = run;
  const signal = AbortSignal.any([end.signal, leave.signal]);
  const marks = () => new Map(run.writes.map((writes) => [writes.key, writes.mark()]));
  try {
    for await (const event of tell(watcher.call(random.pick(run.engines), signal, marks()))) {
      watcher.take(event, marks());
      if (random.oneIn(6)) await randomTurns(random, 60);
      // Left while an event was waited for, or with one in hand.
      if (leave.signal.aborted) return;
    }
    assert.ok(signal.aborted, "a watch ended by itself");
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    const isExpired = error.code === "cursor_expired" && run.isFeedTrimmed;
    if (error.code !== "store_unavailable" && !isExpired) throw error;
    watcher.lose(error.code);
  }
}
