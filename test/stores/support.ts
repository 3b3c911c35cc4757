import assert from "node:assert/strict";
import { type ErrorCode, StateError } from "../../src/errors.ts";
import type { Log } from "../../src/telemetry/log.ts";
import { waitUntil } from "../servers/process.ts";
import { Stopwatch } from "../servers/stopwatch.ts";

/** Deadline of a call in tests that are not about deadlines: no busy machine takes so long. */
export const PATIENCE_MS = 30_000;

/** A validator for `assert.rejects`. */
export function failsWith(code: ErrorCode, applied: "no" | "unknown" = "no") {
  return (error: unknown): boolean => {
    assert.ok(error instanceof StateError, String(error));
    assert.equal(error.code, code, error.message);
    assert.equal(error.applied, applied, error.message);
    return true;
  };
}

/**
 * How a write failed while its back end went away. What was sent just before may have been applied, so
 * either way is right; any other failure is the test's own.
 */
export function outageOf(error: unknown): "store_unavailable" | "outcome_unknown" {
  if (error instanceof StateError) {
    if (error.code === "outcome_unknown" && error.applied === "unknown") return error.code;
    if (error.code === "store_unavailable" && error.applied === "no") return error.code;
  }
  throw error;
}

/** Longest time to serve again on a busy machine; `npm run test:faults` measures the promised two seconds. */
const BACK_MS = 10_000;

/** Calls until the call succeeds, of a store whose back end answers again; fails where that is not soon. */
export async function isBackSoon(call: () => Promise<unknown>): Promise<void> {
  using watch = new Stopwatch();
  await untilDone("service", call);
  assert.ok(watch.ms < BACK_MS, `back after ${watch.ms} ms`);
}

/**
 * Calls until the store is there to answer. For what changes nothing, or nothing that counts: a write
 * whose outcome was unknown is made again.
 */
export async function untilDone<Result>(
  what: string,
  call: () => Promise<Result>,
): Promise<Result> {
  const results: Result[] = [];
  await waitUntil(what, async () => {
    try {
      results.push(await call());
      return true;
    } catch (error) {
      outageOf(error);
      return false;
    }
  });
  return results[0] as Result;
}

/** Keeps what is logged, to be looked at. */
export class RecordedLog implements Log {
  readonly lines: { readonly level: string; readonly fields: object; readonly message: string }[] =
    [];

  debug(): void {}

  info(fields: object, message: string): void {
    this.lines.push({ level: "info", fields, message });
  }

  warn(fields: object, message: string): void {
    this.lines.push({ level: "warn", fields, message });
  }

  error(fields: object, message: string): void {
    this.lines.push({ level: "error", fields, message });
  }
}
