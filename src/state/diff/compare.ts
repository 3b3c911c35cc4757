import { isUtf8 } from "node:buffer";

import { createTwoFilesPatch } from "diff";
import { createPatch } from "rfc6902";

import type { Clock } from "../../telemetry/clock.ts";

/** One side of a comparison. Plain data: it also travels to a worker thread. */
export interface Side {
  /** Names the side in the head of a text diff. */
  readonly label: string;
  readonly value: Uint8Array;
}

export interface CompareTask {
  readonly from: Side;
  readonly to: Side;
  readonly format: "text" | "json-patch";
  /** Gives up after this many milliseconds. */
  readonly timeoutMs: number;
}

export type Compared =
  | { readonly kind: "text" | "json-patch" | "binary"; readonly body: string }
  | { readonly kind: "not-json"; readonly label: string }
  | { readonly kind: "timeout" }
  /** The recursion of a JSON comparison, or its memory, came to an end before it did. */
  | { readonly kind: "too-complex" };

/** Compares two values. Synchronous, and for big values slow: see `diff.ts` for where it runs. */
export function compare(task: CompareTask, clock: Clock): Compared {
  const { from, to, format, timeoutMs } = task;
  if (format === "json-patch") return compareJson(task, clock);
  if (!isUtf8(from.value) || !isUtf8(to.value)) return { kind: "binary", body: "" };
  const body: string | undefined = createTwoFilesPatch(
    from.label,
    to.label,
    Buffer.from(from.value).toString(),
    Buffer.from(to.value).toString(),
    undefined,
    undefined,
    { timeout: timeoutMs },
  );
  return body === undefined ? { kind: "timeout" } : { kind: "text", body };
}

function compareJson({ from, to, timeoutMs }: CompareTask, clock: Clock): Compared {
  const before = parse(from);
  if (before === undefined) return { kind: "not-json", label: from.label };
  const after = parse(to);
  if (after === undefined) return { kind: "not-json", label: to.label };
  const deadline = clock.monotonic() + timeoutMs;
  try {
    // Asked for every pair of inner values. Arrays in arrays cost twice as much with every level, so
    // that a hundred bytes could keep a thread for ever.
    const patch = createPatch(before.json, after.json, () => {
      if (clock.monotonic() > deadline) throw new DeadlinePassed();
    });
    return { kind: "json-patch", body: JSON.stringify(patch) };
  } catch (error) {
    if (error instanceof DeadlinePassed) return { kind: "timeout" };
    // The stack, or the size of a map.
    if (error instanceof RangeError) return { kind: "too-complex" };
    throw error;
  }
}

class DeadlinePassed extends Error {}

function parse({ value }: Side): { readonly json: unknown } | undefined {
  if (!isUtf8(value)) return undefined;
  try {
    return { json: JSON.parse(Buffer.from(value).toString()) as unknown };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
