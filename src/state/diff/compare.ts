import { isUtf8 } from "node:buffer";

import { createTwoFilesPatch } from "diff";
import { createPatch } from "rfc6902";

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
  /** A text diff gives up after this many milliseconds. */
  readonly timeoutMs: number;
}

export type Compared =
  | { readonly kind: "text" | "json-patch" | "binary"; readonly body: string }
  | { readonly kind: "not-json"; readonly label: string }
  | { readonly kind: "timeout" };

/** Compares two values. Synchronous, and for big values slow: see `diff.ts` for where it runs. */
export function compare({ from, to, format, timeoutMs }: CompareTask): Compared {
  if (format === "json-patch") return compareJson(from, to);
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

function compareJson(from: Side, to: Side): Compared {
  const before = parse(from);
  if (before === undefined) return { kind: "not-json", label: from.label };
  const after = parse(to);
  if (after === undefined) return { kind: "not-json", label: to.label };
  return { kind: "json-patch", body: JSON.stringify(createPatch(before.json, after.json)) };
}

function parse({ value }: Side): { readonly json: unknown } | undefined {
  if (!isUtf8(value)) return undefined;
  try {
    return { json: JSON.parse(Buffer.from(value).toString()) as unknown };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
