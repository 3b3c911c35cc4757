import type { EntryRef } from "../store.ts";
import type { Call, FinalEntry, KeyRecord, Violation } from "./record.ts";

/** One write of a key, in the order in which the store applied them. */
export interface WriteEvent extends EntryRef {
  readonly kind: "put" | "delete";
  /** When a watcher was told of it, in nanoseconds; undefined without a feed. */
  readonly deliveredAt: number | undefined;
}

/** The writes of one key in order, and what is known of each entry's value. */
export interface Sequence {
  readonly events: readonly WriteEvent[];
  /** Index into `events` by entry: see {@link entryName}. */
  readonly puts: ReadonlyMap<string, number>;
  /** The id that each entry carries, as far as anybody has seen it. */
  readonly ids: ReadonlyMap<string, string>;
}

export function entryName({ incarnation, version }: EntryRef): string {
  return `${incarnation}.${version}`;
}

type Report = (kind: Violation["kind"], message: string, ...witness: readonly unknown[]) => void;

/**
 * Puts the writes of a key in order, from the feed and the final history, and checks their shape:
 * versions 1…n of each life without gap or repeat, a delete between two lives, and both sources alike.
 */
export function buildSequence(record: KeyRecord, report: Report): Sequence {
  const events =
    record.deliveries === undefined
      ? record.final.map(({ incarnation, version }) => putEvent({ incarnation, version }))
      : record.deliveries.map(({ incarnation, version, deleted, at }): WriteEvent => ({
          kind: deleted ? "delete" : "put",
          incarnation,
          version,
          deliveredAt: at,
        }));
  checkShape(events, report);
  if (record.deliveries !== undefined) checkFinal(events, record, report);
  const puts = new Map<string, number>();
  events.forEach((event, index) => {
    if (event.kind === "put") puts.set(entryName(event), index);
  });
  return { events, puts, ids: collectIds(record, puts, report) };
}

function putEvent(ref: EntryRef): WriteEvent {
  return { kind: "put", ...ref, deliveredAt: undefined };
}

function checkShape(events: readonly WriteEvent[], report: Report): void {
  let life: EntryRef | undefined;
  const ended = new Set<string>();
  for (const event of events) {
    if (event.kind === "delete") {
      if (life?.incarnation !== event.incarnation) {
        report("feed", "a delete of what did not exist was told", event, life);
      }
      ended.add(event.incarnation);
      life = undefined;
      continue;
    }
    if (ended.has(event.incarnation)) report("delete", "a deleted life of the key went on", event);
    if (life !== undefined && life.incarnation !== event.incarnation) {
      report("delete", "a new life of the key began without a delete", life, event);
    }
    const expected = life?.incarnation === event.incarnation ? life.version + 1 : 1;
    if (event.version !== expected) {
      const kind = event.version > expected ? "hole" : "doubled";
      report(kind, `version ${expected} was to come, and ${event.version} came`, life, event);
    }
    life = event;
  }
}

/** The final history must be the last life that the feed told of. */
function checkFinal(events: readonly WriteEvent[], record: KeyRecord, report: Report): void {
  const last = events.at(-1);
  const alive = last === undefined || last.kind === "delete" ? undefined : last.incarnation;
  const told = events.filter((event) => event.kind === "put" && event.incarnation === alive);
  const names = (refs: readonly EntryRef[]): string => refs.map(entryName).join(" ");
  if (names(told) === names(record.final)) return;
  const kind = told.length > record.final.length ? "lost" : "feed";
  report(kind, "the feed and the final history differ", told.at(-1), record.final.at(-1));
}

function collectIds(
  record: KeyRecord,
  puts: ReadonlyMap<string, number>,
  report: Report,
): ReadonlyMap<string, string> {
  const ids = new Map<string, string>();
  const places = new Map<string, string>();
  const final = new Map(record.final.map((entry) => [entryName(entry), entry.id]));
  const learn = (ref: EntryRef, id: string | undefined, source: Call | FinalEntry): void => {
    const name = entryName(ref);
    if (!puts.has(name)) report(kindOfLoss(source), `version ${name} was seen and is gone`, source);
    if (id === undefined) return;
    const known = ids.get(name);
    if (known !== undefined && known !== id) {
      const isGone = final.has(name) && kindOfLoss(source) === "lost";
      report(
        isGone ? "lost" : "changed",
        `version ${name} had two values: ${known} and ${id}`,
        source,
      );
    }
    // The history at rest comes first, and so decides which of two values stays.
    ids.set(name, known ?? id);
    const place = places.get(id);
    if (place !== undefined && place !== name) {
      report("doubled", `one put became two versions: ${place} and ${name}`, source);
    }
    places.set(id, name);
  };
  for (const entry of record.final) learn(entry, entry.id, entry);
  for (const call of record.calls) {
    const seen = seenBy(call);
    if (seen !== undefined) learn(seen, seen.id, call);
  }
  // A put that was sent again may have happened the first time, whatever the last answer was.
  const putCalls = record.calls.filter((call) => call.op === "put");
  const possible = new Set(putCalls.filter(mayHaveHappened).map(({ id }) => id));
  for (const call of putCalls) {
    const place = places.get(call.id);
    if (place === undefined || possible.has(call.id)) continue;
    report("phantom", `a refused put became version ${place}`, call);
  }
  return ids;
}

/** Worse than a version that was only seen is one that its writer was told of. */
function kindOfLoss(source: Call | FinalEntry): "lost" | "vanished" {
  return "op" in source && source.op === "put" && source.outcome === "ok" ? "lost" : "vanished";
}

function mayHaveHappened({ outcome }: Call): boolean {
  return outcome === "ok" || outcome === "unknown";
}

function seenBy(call: Call): (EntryRef & { readonly id: string | undefined }) | undefined {
  if (call.op === "put") {
    if (call.outcome === "ok") return call;
    const current = call.outcome === "conflict" ? call.current : undefined;
    return current && { ...current, id: undefined };
  }
  return call.op === "delete" || call.outcome !== "ok" ? undefined : call.seen;
}
