import assert from "node:assert/strict";
import type { WatchEvent } from "../../src/api.ts";
import type { EntryRef } from "../../src/store.ts";

/** One write as its writer knows it; of a delete, the last entry that the key had. */
export interface Written extends EntryRef {
  readonly type: "put" | "delete";
  readonly value: string | undefined;
}

/** All that was written to one key, by its only writer. */
export class Writes {
  readonly key: string;
  readonly acknowledged: Written[] = [];
  /** Writes under way count as well: a watch may begin before or after one of these. */
  sent = 0;

  constructor(key: string) {
    this.key = key;
  }

  /** The latest entry, where the key exists. */
  get alive(): Written | undefined {
    const last = this.acknowledged.at(-1);
    return last?.type === "put" ? last : undefined;
  }

  /** The place of a write, or -1. A delete is known by the life that it ends. */
  indexOf({ type, incarnation, version }: Written): number {
    return this.acknowledged.findIndex(
      (one) =>
        one.type === type &&
        one.incarnation === incarnation &&
        (type === "delete" || one.version === version),
    );
  }

  mark(): Mark {
    return { acknowledged: this.acknowledged.length, sent: this.sent };
  }

  /** A write as something to read: lives are counted, since incarnations differ in every run. */
  toLine({ type, incarnation, version }: Written): string {
    const lives = new Set(this.acknowledged.map((one) => one.incarnation));
    const life = [...lives].indexOf(incarnation) + 1;
    const which = life > 0 ? `life ${life}` : `a life unknown, ${incarnation}`;
    return `${type} ${this.key} version ${version} of ${which}`;
  }

  lines(): readonly string[] {
    const lines = this.acknowledged.map((one, index) => `${index}: ${this.toLine(one)}`);
    return [`written to ${this.key}:`, ...lines];
  }
}

/** How far the writes of a key were. */
export interface Mark {
  readonly acknowledged: number;
  readonly sent: number;
}

export type Marks = ReadonlyMap<string, Mark>;

/** What happened to a watcher, in order: its calls, what it was told, and what went wrong. */
export type Told =
  /** A call to watch: anew, with the last version that the caller has, or from an event's id on. */
  | { readonly type: "watch"; readonly from: number | "now" | "id"; readonly marks: Marks }
  | { readonly type: "caught-up"; readonly id: string; readonly marks: Marks }
  | { readonly type: "lost"; readonly code: string }
  | ToldWrite;

export interface ToldWrite extends Written {
  readonly id: string;
  readonly key: string;
}

export function toTold(event: WatchEvent, marks: Marks): Told {
  const { type, id } = event;
  assert.ok(type !== "too-slow", "as many events may wait as this run has");
  if (type === "caught-up") return { type, id, marks };
  const { key, incarnation, version } = event;
  const bytes = type === "put" ? event.entry?.value : undefined;
  const value = bytes === undefined ? undefined : Buffer.from(bytes).toString();
  return { type, id, key, incarnation, version, value };
}

export function toLine(told: Told, writes: readonly Writes[]): string {
  switch (told.type) {
    case "watch":
      return `(watch from ${told.from})`;
    case "lost":
      return `(${told.code})`;
    case "caught-up":
      return "caught-up";
    case "put":
    case "delete":
      return writes.find(({ key }) => key === told.key)?.toLine(told) ?? told.key;
  }
}
