import assert from "node:assert/strict";
import { type ErrorCode, StateError } from "../../src/errors.ts";
import type { Log } from "../../src/telemetry/log.ts";

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
