import type { EntryRef } from "../store.ts";
import type { Call, KeyRecord, Violation } from "./record.ts";
import { buildSequence, entryName, type Sequence } from "./sequence.ts";

/** The bounds of the instant at which one write took effect, with the calls that set them. */
interface Bounds {
  low: number;
  high: number;
  lowBy: unknown;
  highBy: unknown;
}

/**
 * Decides whether the recorded history of one key is linearizable, and every acknowledged write there.
 *
 * A put answers its version, so the order of writes is given and need not be searched. Let t(k) be the
 * unknown instant of write k. A call that saw write k's state as the latest must overlap the time from
 * t(k) to t(k+1): so t(k) is at most its end, and t(k+1) at least its start. With all such bounds
 * low(k) and high(k), instants in order exist exactly where, for every k, the greatest of low(1…k) is
 * at most high(k): one pass. Reads of an absent key may fit several gaps between a delete and the next
 * put; they bound the writes around them once only one gap is left for them.
 */
export function checkKey(record: KeyRecord): readonly Violation[] {
  const violations: Violation[] = [];
  const report = (kind: Violation["kind"], message: string, ...witness: unknown[]): void => {
    violations.push({ key: record.key, kind, message, witness });
  };
  const sequence = buildSequence(record, report);
  checkMoments(record, report);
  // Without a true order of writes, times would only repeat what has been said.
  if (violations.length > 0) return violations;
  const times = new Times(sequence);
  const parts = { times, report, firstStarts: firstStartsOf(record.calls) };
  for (const call of record.calls) applyCall(call, sequence, parts);
  checkDeletes(record, sequence, parts);
  times.placeAbsent(report);
  times.check(report);
  return violations;
}

/** A version's moment is never before the one before it, whatever became of a clock. */
function checkMoments({ final }: KeyRecord, report: CheckParts["report"]): void {
  final.forEach((entry, index) => {
    const before = final[index - 1];
    if (before === undefined || before.createdAt <= entry.createdAt) return;
    report("time", `version ${entry.version} is older than the one before it`, before, entry);
  });
}

/** When each id was first sent: one that was sent again may have taken effect the first time. */
function firstStartsOf(calls: readonly Call[]): ReadonlyMap<string, number> {
  const starts = new Map<string, number>();
  for (const call of calls) {
    if (call.op !== "put") continue;
    starts.set(call.id, Math.min(call.start, starts.get(call.id) ?? Infinity));
  }
  return starts;
}

interface CheckParts {
  readonly firstStarts: ReadonlyMap<string, number>;
  readonly times: Times;
  readonly report: (kind: Violation["kind"], message: string, ...witness: unknown[]) => void;
}

function applyCall(call: Call, sequence: Sequence, parts: CheckParts): void {
  const { times, report } = parts;
  if (call.op === "put") {
    applyPut(call, sequence, parts);
    return;
  }
  if (call.outcome !== "ok") return;
  if (call.op === "delete") {
    if (call.versions === 0) times.sawAbsent(call);
    return;
  }
  if (call.op === "get") {
    if (call.seen === undefined) times.sawAbsent(call);
    else times.sawLatest(sequence.puts.get(entryName(call.seen)), call);
    return;
  }
  if (call.seen !== undefined) {
    if (call.seen.version !== call.version) report("order", "another version was answered", call);
    times.happenedBefore(sequence.puts.get(entryName(call.seen)), call);
  } else times.lackedVersion(call);
}

function applyPut(
  call: Extract<Call, { op: "put" }>,
  sequence: Sequence,
  { times, report, firstStarts }: CheckParts,
): void {
  const { cas } = call;
  const sent = { start: firstStarts.get(call.id) ?? call.start, end: call.end };
  if (call.outcome === "ok") {
    if (cas !== undefined && call.version !== cas + 1) {
      report("condition", `a put on version ${cas} became version ${call.version}`, call);
    }
    const index = sequence.puts.get(entryName(call));
    times.happenedAfter(index, sent);
    times.happenedBefore(index, call);
  } else if (call.outcome === "conflict") {
    if ((call.current?.version ?? 0) === cas) {
      report("condition", `a put on version ${cas} was refused although it was the latest`, call);
    }
    if (call.current === undefined) times.sawAbsent(call);
    else times.sawLatest(sequence.puts.get(entryName(call.current)), call);
  } else if (call.outcome === "unknown") {
    for (const [name, id] of sequence.ids) {
      if (id === call.id) times.happenedAfter(sequence.puts.get(name), sent);
    }
  }
}

/** Every delete that was told of must have been asked for, and the other way round. */
function checkDeletes(record: KeyRecord, sequence: Sequence, { times, report }: CheckParts): void {
  const events = sequence.events.flatMap((event, index) =>
    event.kind === "delete" ? [{ index, version: event.version }] : [],
  );
  const calls = record.calls.filter((call) => call.op === "delete");
  const done = calls.filter((call) => call.outcome === "ok" && call.versions > 0);
  const unknown = calls.filter((call) => call.outcome === "unknown").length;
  if (done.length > events.length) {
    report("delete", `${done.length} deletes were acknowledged, ${events.length} happened`, done);
  } else if (events.length > done.length + unknown) {
    report("delete", `${events.length} deletes happened, ${done.length + unknown} were asked for`);
  }
  for (const call of done) {
    const fitting = events.filter(
      ({ version }) => call.outcome === "ok" && version === call.versions,
    );
    if (fitting.length === 0) report("delete", "a delete answered a wrong count", call);
    if (fitting.length !== 1) continue;
    times.happenedAfter(fitting[0]?.index, call);
    times.happenedBefore(fitting[0]?.index, call);
  }
}

type Span = { readonly start: number; readonly end: number };

/** What the calls say of when each write took effect. */
class Times {
  readonly #sequence: Sequence;
  readonly #bounds: Bounds[];
  readonly #absent: Span[] = [];

  constructor(sequence: Sequence) {
    this.#sequence = sequence;
    this.#bounds = sequence.events.map(({ deliveredAt }) => ({
      low: -Infinity,
      high: deliveredAt ?? Infinity,
      lowBy: undefined,
      highBy: deliveredAt === undefined ? undefined : { deliveredAt },
    }));
  }

  happenedAfter(index: number | undefined, call: Span): void {
    const bounds = index === undefined ? undefined : this.#bounds[index];
    if (bounds === undefined || call.start <= bounds.low) return;
    bounds.low = call.start;
    bounds.lowBy = call;
  }

  happenedBefore(index: number | undefined, call: Span): void {
    const bounds = index === undefined ? undefined : this.#bounds[index];
    if (bounds === undefined || call.end >= bounds.high) return;
    bounds.high = call.end;
    bounds.highBy = call;
  }

  sawLatest(index: number | undefined, call: Span): void {
    if (index === undefined) return;
    this.happenedBefore(index, call);
    this.happenedAfter(index + 1, call);
  }

  sawAbsent(call: Span): void {
    this.#absent.push(call);
  }

  /** A version that was not there: decisive only in a key that never was deleted. */
  lackedVersion(call: Span & { readonly version: number }): void {
    const { events } = this.#sequence;
    if (events.some((event) => event.kind === "delete")) return;
    this.happenedAfter(
      events.findIndex((event) => event.version === call.version),
      call,
    );
  }

  /** Gives each read of an absent key its gap, as long as some have only one left. */
  placeAbsent(report: CheckParts["report"]): void {
    const { events } = this.#sequence;
    const gaps = [
      -1,
      ...events.flatMap((event, index) => (event.kind === "delete" ? [index] : [])),
    ];
    let open = this.#absent;
    for (let isMoving = true; isMoving;) {
      const earliest = this.#earliest();
      const latest = this.#latest();
      const undecided = open.filter((call) => {
        const fitting = gaps.filter(
          (gap) =>
            (earliest[gap] ?? -Infinity) <= call.end && call.start <= (latest[gap + 1] ?? Infinity),
        );
        if (fitting.length === 0) report("order", "a key was found absent while it existed", call);
        if (fitting.length > 1) return true;
        for (const gap of fitting) this.sawLatest(gap, call);
        return false;
      });
      isMoving = undecided.length < open.length;
      open = undecided;
    }
  }

  /** The earliest instant of each write that its own bound and those before it leave. */
  #earliest(): readonly number[] {
    let low = -Infinity;
    return this.#bounds.map((bounds) => (low = Math.max(low, bounds.low)));
  }

  #latest(): readonly number[] {
    let high = Infinity;
    return this.#bounds
      .map((_, index) => {
        high = Math.min(high, this.#bounds.at(-1 - index)?.high ?? Infinity);
        return high;
      })
      .toReversed();
  }

  check(report: CheckParts["report"]): void {
    let low = -Infinity;
    let lowBy: unknown;
    this.#bounds.forEach((bounds, index) => {
      if (bounds.low > low) ({ low, lowBy } = bounds);
      if (low <= bounds.high) return;
      const event = this.#sequence.events[index] as EntryRef;
      report(
        "order",
        `write ${entryName(event)} had to come after the first call began and before the second ended`,
        lowBy,
        bounds.highBy,
      );
    });
  }
}
